//! What must not pass the twin test, and what should.

use esper::{
    engine::scenario::{Action, Appointment, Incubation, Policy},
    prelude::*,
    systems::oona::GateJudged,
};

use crate::support::brief;

/// G5 verdicts of one run with one graft of `family` at `input`: whether any passed, and the first gate figure.
fn judge(family: &str, seed: u64) -> (bool, f64) {
    use bevy_ecs::prelude::*;

    #[derive(Resource, Default)]
    struct Verdicts(Vec<GateJudged>);

    fn keep(mut judged: MessageReader<GateJudged>, mut verdicts: ResMut<Verdicts>) {
        verdicts.0.extend(judged.read().filter(|it| it.gate == Gate::G5).cloned());
    }

    let mut scenario = brief();
    scenario.run.seed = seed;
    scenario.run.epochs = 20;
    scenario.data.source = "mnist1d".to_owned();
    scenario.host = scenario::Host::mlp([40, 12, 10]);
    scenario.tamiyo.policy = Policy::Fixed;
    scenario.karn.catalogue = vec![family.to_owned()];
    // A control learns nothing, so that G2 would refuse it before the twin could.
    let is_control = family != "residual_mlp_wide";
    scenario.kasmina.incubation =
        if is_control { Incubation::None } else { Incubation::StraightThrough };
    scenario.kasmina.verdict_after_steps = 140;
    scenario.kasmina.verdict_extend_steps = 100;
    scenario.kasmina.verdict_max_steps = 400;
    scenario.kasmina.train_min_steps = 200;
    scenario.kasmina.train_max_steps = 400;
    scenario.kasmina.graft_steps = 50;
    scenario.kasmina.stabilize_steps = 25;
    let appointment = |action, blueprint: Option<&str>| Appointment {
        epoch: 2.0,
        action,
        site: "input".to_owned(),
        blueprint: blueprint.map(str::to_owned),
    };
    scenario.tamiyo.timetable =
        vec![appointment(Action::Germinate, Some(family)), appointment(Action::Graft, None)];
    let mut run = RunBuilder::new(scenario)
        .extend(|engine| {
            engine.world_mut().init_resource::<Verdicts>();
            engine.add_systems(Tick, keep.in_set(TickSystems::Record));
            Ok(())
        })
        .build()
        .unwrap();
    run.finish().unwrap();
    let verdicts = &run.engine().world().resource::<Verdicts>().0;
    let passed = verdicts.iter().any(|it| it.verdict == GateVerdict::Passed);
    let gate =
        verdicts.first().and_then(|it| it.numbers.iter().find(|(name, _)| name == "gate_gain"));
    (passed, gate.map_or(0.0, |(_, gain)| *gain))
}

fn shares(family: &str, n_seeds: u64) -> (f64, f64) {
    use rayon::prelude::*;
    let verdicts: Vec<(bool, f64)> =
        (0..n_seeds).into_par_iter().map(|seed| judge(family, seed)).collect();
    let share = |holds: fn(&(bool, f64)) -> bool| {
        100.0 * verdicts.iter().filter(|it| holds(it)).count() as f64 / n_seeds as f64
    };
    let (twin, gate) = (share(|it| it.0), share(|it| it.1 > 0.0));
    println!("{family}: {twin} % of {n_seeds} passed the twin, {gate} % the gate figure");
    (twin, gate)
}

#[test]
fn a_frozen_random_module_passes_the_gate_figure_and_not_the_twin() {
    let (twin, _) = shares("frozen_random", 100);
    assert!(twin <= 10.0, "{twin} % of frozen random modules passed G5");
}

#[test]
fn a_module_that_does_nothing_never_passes() {
    assert_eq!(shares("noop", 20).0, 0.0);
}

#[test]
fn a_useful_module_passes_in_most_runs() {
    let (twin, _) = shares("residual_mlp_wide", 30);
    assert!(twin > 50.0, "{twin} % of useful modules passed G5");
}
