//! `[host]`: the network as it is before anything grows.

mod cnn;
mod mlp;
mod transformer;

pub use self::{
    cnn::{Cnn, ImageNormKind},
    mlp::Mlp,
    transformer::{Transformer, TransformerForm, TransformerKind},
};
use esper_engine::scenario::{
    Given, Key, Keys, List, NAMES, PATH, Rules, Scenario, Section, Table, Text, words,
};
use esper_nn::{
    program::SITES_MAX,
    suggest::{clip, did_you_mean},
};
use esper_systems::{
    kasmina::{Kasmina, Limits},
    tamiyo::{self, Tamiyo},
};

/// The key of `[host]`.
pub const HOST: Key<Host> = Key::new();

/// The network as it is before anything grows.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// What is built. Default: an [`Mlp`].
    pub network: Network,
    /// Where seeds are planted: names of [`Network::known_sites`]. Default:
    /// [`Network::default_sites`]. Empty for a [`GraphFile`], whose file has them.
    pub sites: Vec<String>,
    /// A `.safetensors` file of a `state_dict`, or the folder of a run (its newest checkpoint's first
    /// host), that the host begins with; a relative path starts at the scenario's folder. Default: parameters are drawn.
    pub init: Option<String>,
    /// Patterns over the names of tensors that are drawn all the same, whatever `init` has under those names, such as a
    /// head of another width. Default: none.
    pub init_skip: Vec<String>,
}

/// What a host is built from. What the data alone tells (an image's size, the number of classes,
/// the vocabulary) no kind repeats, but for an [`Mlp`], which names all its widths.
#[derive(Clone, Debug, PartialEq)]
pub enum Network {
    /// `mlp`: linear layers, for vectors; images are read as vectors.
    Mlp(Mlp),
    /// `cnn`: stages of convolutions, for images and signals.
    Cnn(Cnn),
    /// `transformer`: blocks of self-attention, for texts or images.
    Transformer(Transformer),
    /// `graph`: nodes and edges read from a file, for any data.
    Graph(GraphFile),
}

/// A host that a file describes, node by node.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphFile {
    /// A `.toml` or `.json` file of nodes; a relative path starts at the scenario's folder.
    /// Required.
    pub file: String,
}

words! {
    /// The word of a [`Network`].
    HostKind {
        /// [`Network::Mlp`].
        Mlp = "mlp",
        /// [`Network::Cnn`].
        Cnn = "cnn",
        /// [`Network::Transformer`].
        Transformer = "transformer",
        /// [`Network::Graph`].
        Graph = "graph",
    }
}

impl Host {
    /// A host of `network` with its default sites, drawn at random.
    pub fn new(network: Network) -> Self {
        Self { sites: network.default_sites(), network, init: None, init_skip: Vec::new() }
    }

    /// A multilayer perceptron of these widths, from input to output, with every site it has.
    pub fn mlp(layers: impl Into<Vec<usize>>) -> Self {
        Self::new(Network::Mlp(Mlp { layers: layers.into(), ..Mlp::default() }))
    }

    /// Which kind of network it is.
    pub const fn kind(&self) -> HostKind {
        self.network.kind()
    }
}

impl Network {
    /// The network of that kind with default settings.
    pub fn of(kind: HostKind) -> Self {
        match kind {
            HostKind::Mlp => Self::Mlp(Mlp::default()),
            HostKind::Cnn => Self::Cnn(Cnn::default()),
            HostKind::Transformer => Self::Transformer(Transformer::default()),
            HostKind::Graph => Self::Graph(GraphFile::default()),
        }
    }

    /// Which kind it is.
    pub const fn kind(&self) -> HostKind {
        match self {
            Self::Mlp(_) => HostKind::Mlp,
            Self::Cnn(_) => HostKind::Cnn,
            Self::Transformer(_) => HostKind::Transformer,
            Self::Graph(_) => HostKind::Graph,
        }
    }

    /// Every place the network has for a seed, from input to output; none for a [`GraphFile`],
    /// whose sites are nodes of its file.
    pub fn known_sites(&self) -> Vec<String> {
        match self {
            Self::Mlp(mlp) => mlp.config(&[]).known_sites(),
            Self::Cnn(cnn) => cnn.config([1; 3], 1, &[]).known_sites(),
            Self::Transformer(transformer) => transformer.known_sites(),
            Self::Graph(_) => Vec::new(),
        }
    }

    /// Where seeds are planted unless a scenario says otherwise: of a perceptron everywhere, of
    /// other networks at the input or embedding and after each stage or block.
    pub fn default_sites(&self) -> Vec<String> {
        let mut sites = match self {
            Self::Mlp(mlp) => mlp.config(&[]).default_sites(),
            Self::Cnn(cnn) => cnn.config([1; 3], 1, &[]).default_sites(),
            Self::Transformer(transformer) => transformer.default_sites(),
            Self::Graph(_) => Vec::new(),
        };
        sites.truncate(SITES_MAX);
        sites
    }
}

/// The keys that decide which sites there are.
const SHAPING: [&str; 5] =
    ["host.kind", "host.form", "host.layers", "host.channels", "host.blocks"];

/// Holds what is planned to grow to the sites that the host has. A graph's are in its file, and checked when that is
/// read.
pub fn check_sites(scenario: &Scenario, rules: &mut Rules<'_, '_>) {
    let host = &scenario[HOST];
    if let (Some(tamiyo), Network::Mlp(_) | Network::Cnn(_) | Network::Transformer(_)) =
        (scenario.get::<Tamiyo>(), &host.network)
    {
        let policy = &tamiyo.policy;
        rules.hold(
            policy == tamiyo::OFF || !host.sites.is_empty(),
            &["host.sites", "host.kind", "tamiyo.policy"],
            format!("must name a site for policy \"{policy}\" to grow at"),
            "for example `sites = [\"hidden0\"]`, or `policy = \"off\"`",
        );
        let sites: Vec<&str> = host.sites.iter().map(String::as_str).collect();
        for (index, entry) in tamiyo.timetable.iter().enumerate() {
            let at = format!("tamiyo.timetable[{index}].site");
            rules.hold(
                is_at(&entry.site, &sites),
                &[&[at.as_str(), "host.sites"], SHAPING.as_slice()].concat(),
                format!("no seed is planted at \"{}\"", clip(&entry.site)),
                did_you_mean(&entry.site, "`host.sites`", &sites),
            );
        }
    }
    if let (Some(kasmina), Some(limits)) = (scenario.get::<Kasmina>(), scenario.get::<Limits>()) {
        let n_seeds = host.sites.len() * kasmina.seeds_per_site;
        rules.hold(
            n_seeds <= limits.seeds_max,
            &["limits.seeds_max", "kasmina.seeds_per_site", "host.sites"],
            format!("must be at least the {n_seeds} seeds of a new host, is {}", limits.seeds_max),
            format!("for example `seeds_max = {}`", 16 * n_seeds),
        );
    }
}

/// Whether `site` is one of `sites`, or two of them as in `input..logits`. Whether these are a span is checked when the
/// network is known.
fn is_at(site: &str, sites: &[&str]) -> bool {
    let is_pair = |(read, write)| sites.contains(&read) && sites.contains(&write);
    sites.contains(&site) || site.split_once("..").is_some_and(is_pair)
}

/// The divisor of `of` that lies nearest to `wanted`.
fn nearest_divisor(wanted: usize, of: usize) -> usize {
    let divisors = (1..=of).filter(|&it| of.is_multiple_of(it));
    divisors.min_by_key(|it| it.abs_diff(wanted)).unwrap_or(1)
}

/// Names of sites; which of them a host has is checked when its network is known.
const SITE: Text = Text {
    form: "the name of a site",
    example: "hidden0",
    is_one: |text| (1..=64).contains(&text.len()),
    all: &[],
};

impl Section for Host {
    const NAME: &'static str = "host";

    fn keys(&mut self, keys: &mut impl Keys) {
        let mut kind = self.kind();
        keys.kind("kind", &mut kind);
        if kind != self.kind() {
            self.network = Network::of(kind);
        }
        match &mut self.network {
            Network::Mlp(mlp) => mlp.keys(keys),
            Network::Cnn(cnn) => cnn.keys(keys),
            Network::Transformer(transformer) => transformer.keys(keys),
            Network::Graph(graph) => graph.keys(keys),
        }
        if let Network::Graph(_) = &self.network {
            self.sites.clear();
            keys.absent("sites", "a graph's sites are the nodes of its file with `op = \"site\"`");
        } else {
            let sites = List { len: 0..=SITES_MAX, item: SITE, is_distinct: true };
            if keys.key("sites", &mut self.sites, sites) == Given::No {
                self.sites = self.network.default_sites();
            }
        }
        keys.key("init", &mut self.init, Text { example: "host.safetensors", ..PATH });
        keys.key("init_skip", &mut self.init_skip, NAMES);
    }

    fn kinds() -> Vec<(&'static str, Self)> {
        let cnn = |norm| Network::Cnn(Cnn { norm, ..Cnn::default() });
        let transformer = |kind| {
            Network::Transformer(Transformer {
                form: TransformerForm::of(kind),
                ..Transformer::default()
            })
        };
        [
            ("`kind = \"mlp\"`", Network::of(HostKind::Mlp)),
            ("`kind = \"cnn\"`", cnn(cnn::norm_of(ImageNormKind::Batch))),
            ("`kind = \"cnn\"` with `norm = \"group\"`", cnn(cnn::norm_of(ImageNormKind::Group))),
            (
                "`kind = \"transformer\"` with `form = \"decoder\"`",
                transformer(TransformerKind::Decoder),
            ),
            ("`kind = \"transformer\"` with `form = \"vit\"`", transformer(TransformerKind::Vit)),
            ("`kind = \"graph\"`", Network::of(HostKind::Graph)),
        ]
        .map(|(words, network)| (words, Self::new(network)))
        .into()
    }

    fn check(&self, rules: &mut Rules<'_, '_>) {
        match &self.network {
            Network::Cnn(cnn) => cnn.check(rules),
            Network::Transformer(transformer) => transformer.check(rules),
            Network::Mlp(_) | Network::Graph(_) => {}
        }
        let known = self.network.known_sites();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        for (index, site) in self.sites.iter().enumerate() {
            let at = format!("host.sites[{index}]");
            rules.hold(
                known.contains(&site.as_str()),
                &[&[at.as_str()], SHAPING.as_slice()].concat(),
                format!("this host has no site \"{}\"", clip(site)),
                did_you_mean(site, "sites of this host", &known),
            );
        }
    }
}

impl Table for GraphFile {
    fn keys(&mut self, keys: &mut impl Keys) {
        keys.required("file", &mut self.file, PATH);
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new(Network::Mlp(Mlp::default()))
    }
}

impl Default for GraphFile {
    fn default() -> Self {
        Self { file: "graphs/host.toml".to_owned() }
    }
}
