//! What each arm makes of a task.

use std::sync::Arc;

use esper_data::SplitData;
use esper_engine::runtime::Flops;
use esper_kernels::random::hash_words;
use esper_nn::{
    graph::{NetworkGraph, Op, fossilize},
    op::Residual,
    rng::permutation,
};
use esper_systems::karn::{Catalogue, Karn};

use super::{
    arm::{Arm, Basis},
    cell::make_cell,
    hosts::{make_static, predicted_flops, scaled},
    record::{CellRecord, TakenAction},
};
use crate::{
    Plan, RunError, RunOptions,
    scenario::{
        Action, Counterfactual, HOST, Incubation, KARN, KASMINA, Network, RUN, Scenario,
        ScheduledAction, TAMIYO, TRAIN,
    },
};

/// A task as an arm has it.
pub(super) struct Prepared {
    pub scenario: Scenario,
    /// Trained in place of the scenario's network.
    pub graph: Option<NetworkGraph>,
    /// What was spent before.
    pub flops_before: Flops,
}

/// What arms are made from.
pub(super) struct Source<'a> {
    /// The task with the cell's settings.
    pub scenario: Scenario,
    pub base_dir: &'a std::path::Path,
    pub data: Arc<SplitData>,
    pub seed: u64,
    /// Families for the arm `oracle`.
    pub oracle: Option<Vec<String>>,
    /// The growth of the pair.
    pub growth: Option<&'a CellRecord>,
}

/// What the names of adapters begin with.
const ADAPTER: &str = "adapter";
/// Families for adapters where the scenario names none: of features, and of images.
const BOTTLENECKS: [&str; 2] = ["bottleneck_adapter", "bottleneck_conv"];

/// Steps in a tick of a run without growth: nobody decides between them, and ticks cost time.
const STEPS_PER_TICK_ALONE: u64 = 100;

impl Source<'_> {
    /// The task as `arm` has it.
    ///
    /// # Errors
    ///
    /// Fails when the arm can not be made of this task, with what stands in the way.
    pub fn prepare(mut self, arm: Arm) -> Result<Prepared, RunError> {
        make_cell(&mut self.scenario, self.seed, self.base_dir);
        let mut flops_before = Flops::default();
        let mut graph = None;
        match arm {
            Arm::Scenario => {}
            Arm::Off => self.leave_alone(),
            Arm::OffLonger => self.train_longer()?,
            Arm::Adapters => graph = Some(self.with_adapters()?),
            Arm::Finetune => {
                self.scenario[TRAIN].freeze.clear();
                self.train_longer()?;
            }
            Arm::StaticFinal => graph = Some(self.grown_network()?),
            Arm::Restart => {
                graph = Some(self.grown_network()?);
                flops_before = spent(self.growth()?);
            }
            Arm::StaticFlops => self.widen_to_budget(0)?,
            Arm::StaticFlopsDeep => self.widen_to_budget(1)?,
            Arm::BestStatic | Arm::BestStaticAny => {
                unreachable!("a search is several runs: see `search`")
            }
            Arm::Direct => {
                self.follow("heuristic");
                self.scenario[KASMINA].incubation = Incubation::None;
            }
            Arm::Fixed => self.follow("fixed"),
            Arm::Heuristic => self.follow("heuristic"),
            Arm::Random => self.act_at_random()?,
            Arm::Permuted => self.permute()?,
            Arm::Aa => {
                self.follow("heuristic");
                self.scenario[KASMINA].counterfactual = Counterfactual::OtherStream;
            }
            Arm::Noop => {
                self.follow("heuristic");
                self.scenario[KARN].catalogue = vec!["noop".to_owned()];
            }
            Arm::Oracle => {
                self.follow("heuristic");
                let task = self.scenario[RUN].name.clone();
                self.scenario[KARN].catalogue = self.oracle.take().ok_or_else(|| {
                    let message = format!("no blueprint is said to be right for `{task}`");
                    unfit("sweep.oracle", message, "name its families, or leave the arm out")
                })?;
            }
        }
        Ok(Prepared { scenario: self.scenario, graph, flops_before })
    }

    fn follow(&mut self, policy: &str) {
        self.scenario[TAMIYO].policy = policy.to_owned();
        if policy != "fixed" {
            self.scenario[TAMIYO].timetable.clear();
        }
    }

    fn leave_alone(&mut self) {
        self.follow("off");
        let steps_per_tick = &mut self.scenario[RUN].steps_per_tick;
        *steps_per_tick = STEPS_PER_TICK_ALONE.max(*steps_per_tick);
    }

    fn growth(&self) -> Result<&CellRecord, RunError> {
        self.growth.filter(|it| it.summary.is_some()).ok_or_else(|| {
            RunError::Failed("the growth of its pair failed, from which the arm is made".to_owned())
        })
    }

    fn plan(&self, scenario: &Scenario) -> Result<Plan, RunError> {
        let options = RunOptions::new(scenario.clone());
        Plan::new(options.base_dir(self.base_dir).data(self.data.clone()))
    }

    /// The given host with the scenario's choice of a module, or else a bottleneck, at every site: modules are identities
    /// at birth and alone train.
    fn with_adapters(&mut self) -> Result<NetworkGraph, RunError> {
        self.leave_alone();
        let plan = self.plan(&self.scenario)?;
        let host = &plan.hosts[0];
        let chosen = self.scenario[KARN].catalogue.iter().map(String::as_str);
        let families: Vec<&str> = chosen.chain(BOTTLENECKS).collect();
        let mut catalogue = Catalogue::default();
        let all = Karn { catalogue: vec!["all".to_owned()], ..Karn::default() };
        catalogue.select(&all).map_err(|error| RunError::Failed(error.to_string()))?;
        let mut graph = (*host.graph).clone();
        // At every layer; what spans them is another kind of module.
        let sites = host.sites.iter().filter(|(_, contract)| contract.layer().is_none());
        for (n, (site, contract)) in sites.enumerate() {
            let mut designs = families.iter().filter_map(|name| catalogue.get(name));
            let design = designs.find_map(|family| family.design(contract).ok().flatten());
            let module = design.ok_or_else(|| {
                let message = format!("no adapter fits the site `{site}`");
                unfit("karn.catalogue", message, "name a family that does, or leave the arm out")
            })?;
            let join = Op::Residual(Residual { alpha: 1.0 });
            let prefix = format!("{ADAPTER}{n}.");
            graph = fossilize(&graph, site, &module.graph, join, &prefix)
                .map_err(|error| unfit("host.sites", error.to_string(), "name other sites"))?;
        }
        self.scenario[TRAIN].freeze =
            host.graph.params().into_iter().map(|param| param.name).collect();
        self.scenario[HOST].init_skip.push(format!("{ADAPTER}*"));
        Ok(graph)
    }

    /// As many epochs as the growth's FLOPs pay for, and no fewer than the warm-up.
    fn train_longer(&mut self) -> Result<(), RunError> {
        self.leave_alone();
        let budget = self.growth()?.flops_total() as f64;
        let cost = predicted_flops(&self.plan(&self.scenario)?);
        let epochs = self.scenario[RUN].epochs as f64 * budget / cost;
        let least = self.scenario[TRAIN].schedule.warmup_epochs.ceil().max(1.0);
        self.scenario[RUN].epochs = epochs.round().clamp(least, 1e6) as u64;
        Ok(())
    }

    fn grown_network(&mut self) -> Result<NetworkGraph, RunError> {
        self.leave_alone();
        begin_anew(&mut self.scenario);
        let text = self.growth()?.network.as_deref().unwrap_or_default();
        serde_json::from_str(text).map_err(|error| {
            RunError::Failed(format!("the network that grew can not be read: {error}"))
        })
    }

    /// The widest host with `n_more` hidden layers more that the growth's FLOPs pay for.
    fn widen_to_budget(&mut self, n_more: u64) -> Result<(), RunError> {
        self.leave_alone();
        let budget = self.growth()?.flops_total() as f64;
        let network = self.scenario[HOST].network.clone();
        let at = |width: f64| -> Result<(Scenario, f64), RunError> {
            let network = scaled(&network, width, n_more).ok_or_else(no_width)?;
            let mut scenario = self.scenario.clone();
            make_static(&mut scenario, network);
            let cost = predicted_flops(&self.plan(&scenario)?);
            Ok((scenario, cost))
        };
        // Bisection of the logarithm: cost grows with width, to the square at most.
        let (mut low, mut high) = (-6.0_f64, 10.0_f64);
        let (mut best, _) = at(low.exp2())?;
        for _ in 0..20 {
            let middle = f64::midpoint(low, high);
            // A host that is too wide for a limit is too wide for the budget as well.
            match at(middle.exp2()) {
                Ok((scenario, cost)) if cost <= budget => (best, low) = (scenario, middle),
                Ok(_) | Err(RunError::Unfit { .. } | RunError::Scenario(_)) => high = middle,
                Err(error) => return Err(error),
            }
        }
        self.scenario = best;
        Ok(())
    }

    /// The policy `random`, which takes as many actions as the growth did, in the mean.
    fn act_at_random(&mut self) -> Result<(), RunError> {
        let growth = self.growth()?;
        let n_actions = growth.actions.len().max(1) as f64;
        let steps = growth.summary.as_ref().map_or(1, |it| it.steps);
        self.follow("random");
        let n_ticks = steps.div_ceil(self.scenario[RUN].steps_per_tick).max(1) as f64;
        self.scenario[TAMIYO].action_rate = (n_actions / n_ticks).clamp(1e-6, 1.0);
        Ok(())
    }

    /// The growth's actions, each at the time of another.
    fn permute(&mut self) -> Result<(), RunError> {
        let timetable = permuted(&self.growth()?.actions, self.seed);
        if timetable.is_empty() {
            self.leave_alone();
        } else {
            self.follow("fixed");
            let last = self.scenario[RUN].epochs as f64;
            let within = |it: ScheduledAction| ScheduledAction { epoch: it.epoch.min(last), ..it };
            self.scenario[TAMIYO].timetable = timetable.into_iter().map(within).collect();
        }
        Ok(())
    }
}

/// A network from scratch is not given, and all of it trains.
fn begin_anew(scenario: &mut Scenario) {
    scenario[HOST].init = None;
    scenario[HOST].init_skip.clear();
    scenario[TRAIN].freeze.clear();
}

/// What the growth spent, by account.
pub(super) fn spent(growth: &CellRecord) -> Flops {
    let mut flops = growth.flops_before;
    flops += growth.summary.as_ref().map_or_else(Flops::default, |it| it.flops);
    flops
}

/// What the static host of a front is: `width` times as wide, `n_more` layers deeper, trained `epochs` times as long.
pub(super) fn front_host(
    mut scenario: Scenario,
    (width, n_more, epochs): (f64, u64, f64),
) -> Result<Scenario, RunError> {
    let network = scaled(&scenario[HOST].network, width, n_more).ok_or_else(no_width)?;
    make_static(&mut scenario, network);
    let least = scenario[TRAIN].schedule.warmup_epochs.ceil().max(1.0);
    scenario[RUN].epochs = (scenario[RUN].epochs as f64 * epochs).round().clamp(least, 1e6) as u64;
    let steps_per_tick = &mut scenario[RUN].steps_per_tick;
    *steps_per_tick = STEPS_PER_TICK_ALONE.max(*steps_per_tick);
    Ok(scenario)
}

fn no_width() -> RunError {
    let message = "a static host of another width can not be made of this network".to_owned();
    unfit("host.kind", message, "leave out the front, and arms that need a wider or deeper host")
}

fn unfit(key: &str, message: String, help: &str) -> RunError {
    RunError::Unfit { key: key.to_owned(), message, help: help.to_owned() }
}

/// `actions` with their times exchanged at random, in the order of time.
fn permuted(actions: &[TakenAction], seed: u64) -> Vec<ScheduledAction> {
    let order = permutation(hash_words(&[seed, 0x7065_726d]), actions.len());
    let epochs = order.into_iter().map(|at| actions[at].epoch);
    let at = |(action, epoch): (&TakenAction, f64)| {
        let word = Action::ALL.iter().find(|it| it.word() == action.action)?;
        let (site, blueprint) = (action.site.clone(), action.blueprint.clone());
        Some(ScheduledAction { epoch, action: *word, site, blueprint })
    };
    let mut timetable: Vec<ScheduledAction> = actions.iter().zip(epochs).filter_map(at).collect();
    timetable.sort_by(|a, b| a.epoch.total_cmp(&b.epoch));
    timetable
}

/// Whether `network` is one of which wider ones can be made.
pub(super) fn has_width(network: &Network) -> bool {
    scaled(network, 1.0, 0).is_some()
}

/// Whether the arm needs hosts of other widths.
pub(super) const fn needs_width(arm: Arm) -> bool {
    matches!(arm, Arm::StaticFlops | Arm::StaticFlopsDeep | Arm::BestStatic | Arm::BestStaticAny)
}

/// Whether a growth's record has what `arm` is made from.
pub(super) fn has_basis(arm: Arm, growth: Option<&CellRecord>) -> bool {
    match (arm.basis(), growth) {
        (Basis::None, _) => true,
        (_, None) => false,
        (Basis::Network, Some(it)) => it.network.is_some(),
        (Basis::Flops | Basis::Actions, Some(it)) => it.summary.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use esper_engine::ids::HostId;

    use super::*;

    fn action(epoch: f64, action: &str) -> TakenAction {
        let site = "hidden0".to_owned();
        TakenAction { host: HostId(0), epoch, action: action.to_owned(), site, blueprint: None }
    }

    #[test]
    fn permuted_actions_are_the_same_actions_at_the_same_times() {
        let actions: Vec<TakenAction> = (0..40)
            .map(|at| action(f64::from(at), if at % 2 == 0 { "graft" } else { "cull" }))
            .collect();
        let timetable = permuted(&actions, 5);
        assert_eq!(timetable.len(), 40);
        let epochs: Vec<f64> = timetable.iter().map(|it| it.epoch).collect();
        assert_eq!(epochs, (0..40).map(f64::from).collect::<Vec<_>>());
        assert_eq!(timetable.iter().filter(|it| it.action == Action::Graft).count(), 20);
        let is_moved =
            |(at, it): (usize, &ScheduledAction)| (it.action == Action::Graft) != (at % 2 == 0);
        assert!(timetable.iter().enumerate().any(is_moved), "times were exchanged");
        assert_eq!(permuted(&actions, 5), timetable, "the same for the same seed");
        assert_ne!(permuted(&actions, 6), timetable);
    }
}
