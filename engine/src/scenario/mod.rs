//! Scenarios: the file as written, and the run it resolves to.

mod check;
mod data;
mod error;
mod file;
mod host;
mod innovation;
mod kasmina;
mod keys;
mod limits;
mod nissa;
mod overrides;
mod run;
mod tamiyo;
#[cfg(test)]
mod tests;
mod tolaria;
mod train;
mod value;
mod word;

pub use esper_nn::suggest::nearest;

pub use self::{
    data::{Data, Standardize, Task, Tokens},
    error::{Place, Problem, ScenarioError},
    file::ScenarioFile,
    host::{
        Activation, Cnn, CnnForm, GraphFile, Host, HostKind, ImageNormKind, Mlp, Network, Norm,
        Transformer, TransformerForm, TransformerKind,
    },
    innovation::{Karn, Mode, Tezzeret, Urabrask, Urza},
    kasmina::{Composition, Counterfactual, Curve, Incubation, Kasmina},
    limits::Limits,
    nissa::Nissa,
    overrides::Override,
    run::Run,
    tamiyo::{Action, Policy, ScheduledAction, Tamiyo},
    tolaria::{Checkpoint, Governor},
    train::{Adam, Course, CourseKind, Optimizer, OptimizerKind, Schedule, Sgd, Train},
};
use self::{
    file::{Content, Findings, Node},
    keys::{Keys, Reader, Section, Writer},
};

/// Reads a scenario, puts `overrides` in the place of what it says, and resolves it. `name` is the
/// file's, for messages; the run is called after it unless `run.name` is written.
///
/// # Errors
///
/// Fails when the text is not TOML, or when anything in it is unknown, of the wrong type, out of
/// range or at odds with the rest. Everything that is wrong is reported, not only the first.
///
/// ```
/// use esper_engine::scenario::{Override, parse};
///
/// let text = "
/// [run]
/// epochs = 30
/// [data]
/// source = \"digits\"
/// [host]
/// layers = [64, 8, 10]
/// ";
/// let scenario = parse(text, "digits.toml", &[Override::parse("run.seed=7")?])?;
/// assert_eq!(scenario.run.seed, 7);
/// assert_eq!(scenario.host.sites, ["input", "hidden0"]);
/// # Ok::<(), esper_engine::scenario::ScenarioError>(())
/// ```
pub fn parse(text: &str, name: &str, overrides: &[Override]) -> Result<Scenario, ScenarioError> {
    let mut file = ScenarioFile::parse(text, name)?;
    for item in overrides {
        file.set(item)?;
    }
    file.resolve()
}

/// A run, resolved: every key has a value, and every value is in range.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario {
    /// `[run]`: how long, how often, and on what.
    pub run: Run,
    /// `[data]`: what is learned, and what is held out.
    pub data: Data,
    /// `[host]`: the network as it is before anything grows.
    pub host: Host,
    /// `[train]`: the optimizer and its learning rate over time.
    pub train: Train,
    /// `[governor]`: when training is taken back.
    pub governor: Governor,
    /// `[checkpoint]`: when the run is saved.
    pub checkpoint: Checkpoint,
    /// `[kasmina]`: a seed's life, stage by stage.
    pub kasmina: Kasmina,
    /// `[tamiyo]`: who decides, and within what bounds.
    pub tamiyo: Tamiyo,
    /// `[karn]`: what blueprints there are.
    pub karn: Karn,
    /// `[tezzeret]`: how they are compiled.
    pub tezzeret: Tezzeret,
    /// `[urabrask]`: how kernels are validated.
    pub urabrask: Urabrask,
    /// `[urza]`: where both are kept.
    pub urza: Urza,
    /// `[nissa]`: what is shown and written.
    pub nissa: Nissa,
    /// `[limits]`: what may not grow beyond.
    pub limits: Limits,
}

impl ScenarioFile {
    /// Gives every key its value, and checks each alone and against the others.
    ///
    /// # Errors
    ///
    /// Fails with everything that is unknown, of the wrong type, out of range or at odds.
    pub fn resolve(&self) -> Result<Scenario, ScenarioError> {
        let mut scenario = Scenario::default();
        scenario.run.name = Run::name_from(&self.name);
        let mut found = Findings::new(self);
        let Node { path, origin, content: Content::Table(table) } = &self.root else {
            unreachable!("a TOML document is a table");
        };
        Reader::read(&mut scenario, (path, origin, table), &mut found);
        check::check(&scenario, &mut found);
        found.finish()?;
        Ok(scenario)
    }
}

impl Scenario {
    /// The scenario as a file with every key written out, which resolves to this scenario.
    pub fn to_toml(&self) -> String {
        let mut writer = Writer::default();
        self.clone().keys(&mut writer);
        writer.lines.join("\n") + "\n"
    }

    /// This scenario, if every key is in range and none is at odds with the rest: for scenarios
    /// made in Rust rather than read.
    ///
    /// # Errors
    ///
    /// Fails as [`parse`] does; places are those in [`to_toml`](Self::to_toml).
    pub fn checked(&self) -> Result<Self, ScenarioError> {
        parse(&self.to_toml(), &self.run.name, &[])
    }

    /// The BLAKE3 hash of [`to_toml`](Self::to_toml): equal for equal scenarios.
    pub fn digest(&self) -> [u8; 32] {
        *blake3::hash(self.to_toml().as_bytes()).as_bytes()
    }
}

impl Section for Scenario {
    fn keys(&mut self, keys: &mut impl Keys) {
        keys.section("run", &mut self.run);
        keys.section("data", &mut self.data);
        keys.section("host", &mut self.host);
        keys.section("train", &mut self.train);
        keys.section("governor", &mut self.governor);
        keys.section("checkpoint", &mut self.checkpoint);
        keys.section("kasmina", &mut self.kasmina);
        keys.section("tamiyo", &mut self.tamiyo);
        keys.section("karn", &mut self.karn);
        keys.section("tezzeret", &mut self.tezzeret);
        keys.section("urabrask", &mut self.urabrask);
        keys.section("urza", &mut self.urza);
        keys.section("nissa", &mut self.nissa);
        keys.section("limits", &mut self.limits);
    }
}
