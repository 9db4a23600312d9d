//! From contract to verdict: Karn, Tezzeret and Urabrask, which know nothing of each other.

use std::{collections::BTreeMap, thread, time::Duration};

use bevy_ecs::{
    prelude::*,
    schedule::{ScheduleBuildSettings, Schedules},
};
use esper_engine::{
    forge::{InjectedDelay, Mode, Script, Scripts, Ticket},
    scenario::Scenario,
    world::{
        blueprint::{Attempts, Blueprint, BlueprintStatus, SiteContracts},
        components::ModuleContract,
        ids::KernelId,
        kernel::{Kernel, KernelOf, KernelStatus, Measured, SafetySheet},
        plugin::{Clock, Engine, Tick, TickSystems},
    },
};
use esper_nn::contract::Contract;
use esper_systems::{
    karn::{KARN, Karn, KarnPlugin},
    oona::{BlueprintDesigned, JobAdmitted, KernelJudged, OonaPlugin},
    tezzeret::{TEZZERET, TezzeretPlugin},
    tolaria::RUN,
    urabrask::{URABRASK, UrabraskPlugin},
};

/// What a journal would keep: the tick and the event.
#[derive(Resource, Default)]
struct Journal {
    lines: Vec<String>,
    admissions: Vec<(u64, JobAdmitted)>,
}

fn keep(
    clock: Res<Clock>,
    mut designed: MessageReader<BlueprintDesigned>,
    mut admitted: MessageReader<JobAdmitted>,
    mut judged: MessageReader<KernelJudged>,
    mut journal: ResMut<Journal>,
) {
    let tick = clock.0;
    let journal = &mut *journal;
    journal.lines.extend(designed.read().map(|it| format!("{tick} {it:?}")));
    for it in admitted.read() {
        journal.lines.push(format!("{tick} {it:?}"));
        journal.admissions.push((tick, it.clone()));
    }
    journal.lines.extend(judged.read().map(|it| format!("{tick} {it:?}")));
}

#[derive(Clone)]
struct Line {
    scenario: Scenario,
    contracts: Vec<Contract>,
    handicap: Option<InjectedDelay>,
    /// Present in a replay; a forge without a script in it then admits nothing.
    scripts: Option<Scripts>,
    shuffle_seed: Option<u64>,
}

impl Default for Line {
    fn default() -> Self {
        let mut scenario = esper_systems::sections().scenario();
        scenario[TEZZERET].latency_ticks = 3;
        scenario[URABRASK].latency_ticks = 3;
        scenario[URABRASK].bench_repeats = 3;
        Self {
            scenario,
            contracts: vectors([8]),
            handicap: None,
            scripts: None,
            shuffle_seed: None,
        }
    }
}

impl Line {
    fn run(&self, n_ticks: usize) -> Engine {
        let mut engine = self.build();
        (0..n_ticks).for_each(|_| engine.tick());
        engine
    }

    fn build(&self) -> Engine {
        let mut engine = Engine::default();
        let world = engine.world_mut();
        world.init_resource::<Journal>();
        if let Some(scripts) = &self.scripts {
            world.insert_resource(scripts.clone());
        }
        if let Some(handicap) = self.handicap {
            world.insert_resource(handicap);
        }
        world.resource_mut::<SiteContracts>().0.extend(self.contracts.iter().copied());
        let scenario = self.scenario.resolve().unwrap();
        engine.world_mut().insert_resource(scenario);
        engine.add_plugin(OonaPlugin).unwrap();
        engine.add_plugin(KarnPlugin).unwrap();
        engine.add_plugin(TezzeretPlugin).unwrap();
        engine.add_plugin(UrabraskPlugin).unwrap();
        engine.add_systems(Tick, keep.in_set(TickSystems::Record));
        let mut schedules = engine.world_mut().resource_mut::<Schedules>();
        let tick = schedules.get_mut(Tick).unwrap();
        let settings = tick.get_build_settings();
        let shuffle_seed = self.shuffle_seed;
        tick.set_build_settings(ScheduleBuildSettings { shuffle_seed, ..settings });
        engine
    }
}

/// Family, variant and contract to status, reasons and whether it was measured.
type Verdicts = BTreeMap<(String, String, Contract), (KernelStatus, Vec<String>, bool)>;

fn verdicts(engine: &mut Engine) -> Verdicts {
    let world = engine.world_mut();
    let mut kernels =
        world
            .query::<(&Kernel, &KernelOf, &KernelStatus, Option<&SafetySheet>, Option<&Measured>)>(
            );
    let each = kernels.iter(world).map(|(kernel, of, status, sheet, measured)| {
        let family = world.get::<Blueprint>(of.0).unwrap().family.clone();
        let reasons = sheet.map(|sheet| sheet.reasons.clone()).unwrap_or_default();
        let contract = world.get::<ModuleContract>(of.0).unwrap().0;
        ((family, kernel.variant.clone(), contract), (*status, reasons, measured.is_some()))
    });
    each.collect()
}

fn lines(engine: &Engine) -> &[String] {
    &engine.world().resource::<Journal>().lines
}

fn vectors<const N: usize>(widths: [u32; N]) -> Vec<Contract> {
    widths.map(|width| Contract::Vector { width }).to_vec()
}

fn images<const N: usize>(shapes: [[u32; 3]; N]) -> Vec<Contract> {
    let image = |[channels, height, width]: [u32; 3]| Contract::Image { channels, height, width };
    shapes.map(image).to_vec()
}

/// Each twice: positions that see all others, and positions that see no later one.
fn sequences<const N: usize>(shapes: [[u32; 2]; N]) -> Vec<Contract> {
    let both = |[len, width]: [u32; 2]| {
        [false, true].map(|is_causal| Contract::Sequence { len, width, is_causal })
    };
    shapes.into_iter().flat_map(both).collect()
}

/// Kernels of every family and control at sites of `contracts`, all of them validated.
fn count_validated(contracts: Vec<Contract>) -> usize {
    let mut line = Line { contracts, ..Line::default() };
    line.scenario[KARN].catalogue.extend(["noop".to_owned(), "frozen_random".to_owned()]);
    line.scenario[TEZZERET].queue_max = 2000;
    // Large sites on a busy machine: what is tested is that nothing else speaks against them.
    line.scenario[URABRASK].latency_max_us = 60_000_000;
    let mut engine = line.run(10);
    let world = engine.world_mut();
    let mut kernels = world.query::<(&KernelStatus, &SafetySheet, &KernelOf, &Kernel)>();
    let mut n_validated = 0;
    for (status, sheet, of, kernel) in kernels.iter(world) {
        let blueprint = world.get::<Blueprint>(of.0).unwrap();
        let contract = &world.get::<ModuleContract>(of.0).unwrap().0;
        let what = format!("{} of {} for {contract:?}", kernel.variant, blueprint.family);
        assert_eq!(*status, KernelStatus::Validated, "{what}: {sheet:?}");
        assert!(sheet.gradient_error.is_some(), "{what}: held to the interpreter");
        n_validated += 1;
    }
    n_validated
}

#[test]
fn every_family_and_control_is_validated_at_vectors_of_every_width() {
    let n_validated = count_validated(vectors([1, 2, 3, 4, 5, 7, 8, 16, 17, 33, 64, 65]));
    // Thirteen families, two variants, twelve widths. At widths 1 and 2 the three MLPs are one, and so are two of the
    // convolutions; at 3 and 4 two of the MLPs are.
    let n_twins = [3, 3, 1, 1].iter().sum::<usize>();
    assert_eq!(n_validated, 2 * (13 * 12 - n_twins));
}

#[test]
fn every_family_and_control_is_validated_at_images_of_every_form() {
    let n_validated =
        count_validated(images([[1, 1, 40], [3, 8, 8], [16, 4, 4], [32, 2, 1], [16, 32, 32]]));
    // Of two rows and one column no kernel has more than one tap: there, two of the convolutions are one.
    assert_eq!(n_validated, 2 * (8 * 5 - 1));
}

#[test]
fn every_family_and_control_is_validated_at_sequences_causal_and_not() {
    let n_validated = count_validated(sequences([[1, 4], [16, 32], [128, 128]]));
    // At width 4 two of the MLPs are one.
    assert_eq!(n_validated, 2 * (2 * 10 * 3 - 2));
}

#[test]
fn every_bad_blueprint_is_rejected_for_what_is_bad_about_it() {
    let mut contracts = vectors([1, 8, 64]);
    contracts.extend(images([[3, 8, 8], [1, 1, 40]]));
    contracts.extend(sequences([[1, 4], [16, 32]]));
    let n_causal = contracts.iter().filter(|contract| contract.is_causal()).count();
    let n_expected = (Karn::ADVERSARIAL.len() - 1) * contracts.len() + n_causal;
    let mut line = Line { contracts, ..Line::default() };
    line.scenario[TEZZERET].queue_max = 2000;
    line.scenario[KARN].adversarial = Karn::ADVERSARIAL.map(str::to_owned).to_vec();
    let mut engine = line.run(10);
    let expected = BTreeMap::from([
        ("bad_nan", "not finite"),
        ("bad_exploding", "`grad_growth_max`"),
        ("bad_shape", "must keep"),
        ("bad_dead", "never learn"),
        ("bad_memory", "`memory_max_bytes`"),
        ("bad_slow", "`flops_max`"),
        ("bad_lookahead", "no position may see a later one"),
    ]);
    let world = engine.world_mut();
    let mut kernels = world.query::<(&KernelOf, &KernelStatus, &SafetySheet)>();
    let mut n_rejected = 0;
    for (of, status, sheet) in kernels.iter(world) {
        let family = world.get::<Blueprint>(of.0).unwrap().family.as_str();
        let blueprint_status = *world.get::<BlueprintStatus>(of.0).unwrap();
        match expected.get(family) {
            Some(word) => {
                n_rejected += 1;
                assert_eq!(*status, KernelStatus::Rejected, "{family}");
                assert_eq!(blueprint_status, BlueprintStatus::Invalid, "{family}");
                let reasons = &sheet.reasons;
                assert!(reasons.iter().any(|it| it.contains(word)), "{family}: {reasons:?}");
            }
            None => {
                assert_eq!(*status, KernelStatus::Validated, "{family}");
                assert_eq!(blueprint_status, BlueprintStatus::Validated, "{family}");
            }
        }
    }
    assert_eq!(n_rejected, 2 * n_expected);
}

#[test]
fn workers_and_system_order_change_neither_verdicts_nor_journal() {
    let mut line = Line { contracts: vectors([5, 8]), ..Line::default() };
    line.scenario[KARN] = Karn {
        catalogue: ["low_rank", "glu", "norm", "noop"].map(str::to_owned).to_vec(),
        adversarial: vec!["bad_dead".to_owned()],
    };
    let mut calm = line.run(12);
    let expected = (verdicts(&mut calm), lines(&calm).to_vec());
    assert_eq!(expected.0.len(), 2 * 2 * 5);
    assert!(expected.0.values().all(|(status, ..)| *status != KernelStatus::PendingBenchmarking));
    let uneven = |_: &str, ticket: Ticket| Duration::from_millis(ticket.0 * 7 % 5);
    for shuffle_seed in 0..32 {
        line.shuffle_seed = Some(shuffle_seed);
        line.handicap = (shuffle_seed < 4).then_some(InjectedDelay(uneven));
        line.scenario[TEZZERET].n_workers = 1 + shuffle_seed as usize % 4;
        line.scenario[URABRASK].n_workers = 1 + shuffle_seed as usize % 3;
        let mut found = line.run(12);
        assert_eq!(verdicts(&mut found), expected.0, "shuffle seed {shuffle_seed}");
        assert_eq!(lines(&found), expected.1, "shuffle seed {shuffle_seed}");
    }
}

#[test]
fn a_free_run_is_repeated_from_its_journal() {
    let mut line = Line { contracts: vectors([5, 8]), ..Line::default() };
    line.scenario[TEZZERET].mode = Mode::Free;
    line.handicap = Some(InjectedDelay(|_, ticket| Duration::from_micros(300 * (ticket.0 % 4))));
    let mut free = line.build();
    let mut n_ticks = 0;
    while verdicts(&mut free)
        .values()
        .filter(|it| it.0 != KernelStatus::PendingBenchmarking)
        .count()
        < 44
    {
        free.tick();
        n_ticks += 1;
        assert!(n_ticks < 100_000, "the workers never come back");
        thread::sleep(Duration::from_micros(200));
    }
    let mut scripts: BTreeMap<String, Script> = ["compile", "compile_host", "validate"]
        .map(|forge| (forge.to_owned(), Script::default()))
        .into();
    for (tick, it) in &free.world().resource::<Journal>().admissions {
        scripts.get_mut(&it.forge).unwrap().push(*tick, Ticket(it.ticket), it.outcome);
    }
    line.scripts = Some(Scripts(scripts));
    line.handicap = Some(InjectedDelay(|_, ticket| Duration::from_millis(ticket.0 % 3)));
    let mut replay = line.run(n_ticks);
    assert_eq!(lines(&free), lines(&replay));
    assert_eq!(verdicts(&mut free), verdicts(&mut replay));
}

#[test]
fn a_kernels_name_does_not_depend_on_the_run() {
    let names = |scenario_seed| {
        let mut line = Line::default();
        line.scenario[RUN].seed = scenario_seed;
        let mut engine = line.run(5);
        let world = engine.world_mut();
        let mut names: Vec<KernelId> = world.query::<&KernelId>().iter(world).copied().collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(0), names(1));
    assert_eq!(names(0).len(), 22);
}

#[test]
fn workers_that_hang_cost_the_blueprints_and_not_the_run() {
    let mut line = Line::default();
    line.scenario[TEZZERET].timeout_ms = 20;
    line.handicap = Some(InjectedDelay(|forge, _| match forge {
        "compile" => Duration::from_secs(60),
        _ => Duration::ZERO,
    }));
    let mut engine = line.run(15);
    let world = engine.world_mut();
    let mut blueprints = world.query::<(&BlueprintStatus, &Attempts)>();
    assert_eq!(blueprints.iter(world).count(), 11);
    for (status, attempts) in blueprints.iter(world) {
        assert_eq!((*status, *attempts), (BlueprintStatus::Invalid, Attempts(3)));
    }
    line.handicap = Some(InjectedDelay(|forge, _| match forge {
        "validate" => Duration::from_secs(60),
        _ => Duration::ZERO,
    }));
    line.scenario[TEZZERET].timeout_ms = 500;
    let mut engine = line.run(30);
    let found = verdicts(&mut engine);
    assert_eq!(found.len(), 22);
    for (status, reasons, _) in found.values() {
        assert_eq!(*status, KernelStatus::Rejected);
        assert_eq!(*reasons, ["validation took longer than `timeout_ms`"]);
    }
}
