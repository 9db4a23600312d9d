//! Convolutional networks: a ResNet-like and a plain VGG-like form.

use esper_kernels::cpu::Activation;

use super::{
    super::{GraphError, Init, Loss, NetworkGraph, NodeIndex, Op},
    HostBuilder, refuse,
};
use crate::op::{
    BATCH_NORM_MOMENTUM, BatchNorm, Conv2d, Flatten, GlobalAvgPool, GroupNorm, MaxPool2d, NORM_EPS,
    Windows,
};
use crate::words;

/// Pixels of the last map up to which a VGG-like network reads every pixel: those of torchvision's, 7x7.
const FLATTEN_MAX_PIXELS: usize = 49;

words! {
    /// How the blocks of a convolutional network are joined.
    #[derive(Default)]
    CnnForm {
        /// Basic blocks around which a shortcut leads, in the form for small images: no pool, and a first convolution of
        /// stride 1 (He et al. 2016, section 4.2). Every stage but the first halves its images by the stride of its first
        /// block, whose shortcut is a 1x1 convolution (option B there, and torchvision's).
        #[default]
        ResNet = "resnet",
        /// Plain blocks, each stage ending in a 2x2 max pool (Simonyan and Zisserman 2015, section 2.1).
        Vgg = "vgg",
    }
}

/// What follows each convolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageNorm {
    /// Nothing; convolutions then have a bias.
    None,
    /// Batch norm.
    #[default]
    Batch,
    /// Group norm.
    Group {
        /// Groups of channels; they divide the channels of every stage.
        groups: usize,
    },
}

/// A convolutional network.
///
/// An image of height 1 is a signal: kernels, strides and pools then extend along the width only.
#[derive(Clone, Debug, PartialEq)]
pub struct CnnConfig {
    /// The shape of an image, `[channels, height, width]`.
    pub input: [usize; 3],
    /// Classes or targets.
    pub n_outputs: usize,
    /// How blocks are joined.
    pub form: CnnForm,
    /// Channels of each stage.
    pub channels: Vec<usize>,
    /// Blocks of each stage.
    pub blocks: Vec<usize>,
    /// Side of the kernels; odd.
    pub kernel: usize,
    /// After every convolution.
    pub norm: ImageNorm,
    /// After every norm, and in the ResNet-like form after every sum.
    pub activation: Activation,
    /// Dropout before the head.
    pub dropout: f32,
    /// Where seeds may be planted; see [`CnnConfig::known_sites`].
    pub sites: Vec<String>,
}

impl Default for CnnConfig {
    fn default() -> Self {
        Self {
            input: [1, 28, 28],
            n_outputs: 10,
            form: CnnForm::ResNet,
            channels: vec![16, 32],
            blocks: vec![1, 1],
            kernel: 3,
            norm: ImageNorm::Batch,
            activation: Activation::Relu,
            dropout: 0.0,
            sites: Vec::new(),
        }
    }
}

impl CnnConfig {
    /// The sites such a network has, from input to output.
    pub fn known_sites(&self) -> Vec<String> {
        let mut sites = vec!["input".to_owned()];
        if self.form == CnnForm::ResNet {
            sites.push("stem".to_owned());
        }
        for (stage, n_blocks) in (1..).zip(&self.blocks) {
            for block in 0..(*n_blocks).min(BLOCKS_MAX) {
                match self.form {
                    CnnForm::ResNet => {
                        sites.push(format!("stage{stage}.block{block}.conv1"));
                        sites.push(format!("stage{stage}.block{block}.conv2"));
                        sites.extend(
                            (block + 1 < *n_blocks).then(|| format!("stage{stage}.block{block}")),
                        );
                    }
                    CnnForm::Vgg => {
                        sites.push(format!("stage{stage}.block{block}.conv"));
                        sites.push(format!("stage{stage}.block{block}"));
                    }
                }
            }
            sites.push(format!("stage{stage}.out"));
        }
        sites.extend(["features", "logits"].map(str::to_owned));
        sites
    }

    /// The sites seeds are planted at unless others are named: `input` and the end of every stage.
    pub fn default_sites(&self) -> Vec<String> {
        let stages = (1..=self.blocks.len()).map(|stage| format!("stage{stage}.out"));
        std::iter::once("input".to_owned()).chain(stages).collect()
    }

    fn check(&self) -> Result<(), GraphError> {
        let (n_stages, n_blocks) = (self.channels.len(), self.blocks.len());
        if n_stages == 0 {
            return refuse("channels", "is empty; a network has at least one stage");
        }
        if n_blocks != n_stages {
            let what = format!("counts the blocks of {n_blocks} stages, `channels` has {n_stages}");
            return refuse("blocks", what);
        }
        if let Some(stage) = self.blocks.iter().position(|n_blocks| *n_blocks == 0) {
            return refuse("blocks", format!("leaves stage {} empty", stage + 1));
        }
        let n_all =
            self.blocks.iter().fold(0, |sum: usize, n_blocks| sum.saturating_add(*n_blocks));
        if BLOCKS_MAX < n_all {
            return refuse(
                "blocks",
                format!("asks for {n_all} in all; there are at most {BLOCKS_MAX}"),
            );
        }
        if let Some(stage) = self.channels.iter().position(|channels| *channels == 0) {
            return refuse("channels", format!("leaves stage {} without any", stage + 1));
        }
        if self.kernel.is_multiple_of(2) || KERNEL_MAX < self.kernel {
            return refuse("kernel", format!("is {}, not odd and 1 to {KERNEL_MAX}", self.kernel));
        }
        if let ImageNorm::Group { groups } = self.norm
            && let Some(channels) =
                self.channels.iter().find(|it| groups == 0 || !it.is_multiple_of(groups))
        {
            return refuse(
                "groups",
                format!("is {groups}, which does not divide {channels} channels"),
            );
        }
        Ok(())
    }
}

/// Blocks a network may have: with more, a graph would have too many nodes.
const BLOCKS_MAX: usize = 500;

/// Far above any kernel in use: images are padded by half of it.
const KERNEL_MAX: usize = 255;

impl NetworkGraph {
    /// Builds the host of `config`, ending in `loss`.
    ///
    /// The ResNet-like form is named as torchvision's: `conv1`, `bn1`, `layer1.0.conv1`, `layer1.0.bn1`,
    /// `layer2.0.downsample.0`, `layer2.0.downsample.1`, ..., a global average pool, `fc`. The VGG-like form too:
    /// `features.0` (convolution), `features.1` (norm, if there is one), `features.2` (activation), ...; its last map
    /// is flattened if it has at most 7x7 pixels and else averaged, for one linear layer, `classifier`. Group norms
    /// bear the names of batch norms. Parameters are drawn by PyTorch's defaults.
    ///
    /// # Errors
    ///
    /// Fails when a site does not exist, a setting is out of range, or a stage would halve an image that has no two
    /// pixels along a side.
    pub fn cnn(config: &CnnConfig, loss: Loss) -> Result<Self, GraphError> {
        config.check()?;
        let host = HostBuilder::new(&config.sites, &config.known_sites())?;
        let mut cnn = Cnn { config, host, n_features: 0 };
        let mut x = cnn.host.input(&config.input)?;
        x = cnn.host.site("input", x)?;
        x = match config.form {
            CnnForm::ResNet => cnn.resnet(x)?,
            CnnForm::Vgg => cnn.vgg(x)?,
        };
        cnn.host.finish(loss, x)
    }
}

/// A convolutional network in the making.
struct Cnn<'a> {
    config: &'a CnnConfig,
    host: HostBuilder<'a>,
    /// Modules of `features` so far.
    n_features: usize,
}

impl Cnn<'_> {
    fn resnet(&mut self, mut x: NodeIndex) -> Result<NodeIndex, GraphError> {
        let config = self.config;
        x = self.conv("conv1", config.channels[0], config.kernel, 1, x)?;
        x = self.norm("bn1", x)?;
        x = self.activation("relu", x)?;
        x = self.host.site("stem", x)?;
        for (stage, (channels, n_blocks)) in (1..).zip(config.channels.iter().zip(&config.blocks)) {
            for block in 0..*n_blocks {
                let stride = if 1 < stage && block == 0 { 2 } else { 1 };
                x = self.basic_block(stage, block, *channels, stride, x)?;
                x = if block + 1 < *n_blocks {
                    self.host.site(&format!("stage{stage}.block{block}"), x)?
                } else {
                    self.host.site(&format!("stage{stage}.out"), x)?
                };
            }
        }
        x = self.host.add("avgpool", GlobalAvgPool, x)?;
        self.head("fc", x)
    }

    /// `activation(shortcut(x) + norm(conv(activation(norm(conv(x))))))` (He et al. 2016, figure 2).
    fn basic_block(
        &mut self,
        stage: usize,
        block: usize,
        channels: usize,
        stride: usize,
        x: NodeIndex,
    ) -> Result<NodeIndex, GraphError> {
        if stride == 2 {
            self.check_halving(stage, x)?;
        }
        let kernel = self.config.kernel;
        let name = |part: &str| format!("layer{stage}.{block}.{part}");
        let mut y = self.conv(&name("conv1"), channels, kernel, stride, x)?;
        y = self.norm(&name("bn1"), y)?;
        y = self.activation(&name("relu1"), y)?;
        y = self.host.site(&format!("stage{stage}.block{block}.conv1"), y)?;
        y = self.conv(&name("conv2"), channels, kernel, 1, y)?;
        y = self.norm(&name("bn2"), y)?;
        y = self.host.site(&format!("stage{stage}.block{block}.conv2"), y)?;
        let mut shortcut = x;
        if stride != 1 || self.host.shape(x)[0] != channels {
            shortcut = self.conv(&name("downsample.0"), channels, 1, stride, x)?;
            shortcut = self.norm(&name("downsample.1"), shortcut)?;
        }
        y = self.host.sum(name("add"), y, shortcut)?;
        self.activation(&name("relu2"), y)
    }

    fn vgg(&mut self, mut x: NodeIndex) -> Result<NodeIndex, GraphError> {
        let config = self.config;
        for (stage, (channels, n_blocks)) in (1..).zip(config.channels.iter().zip(&config.blocks)) {
            for block in 0..*n_blocks {
                let name = self.next_feature();
                x = self.conv(&name, *channels, config.kernel, 1, x)?;
                if config.norm != ImageNorm::None {
                    let name = self.next_feature();
                    x = self.norm(&name, x)?;
                }
                x = self.host.site(&format!("stage{stage}.block{block}.conv"), x)?;
                let name = self.next_feature();
                x = self.activation(&name, x)?;
                x = self.host.site(&format!("stage{stage}.block{block}"), x)?;
            }
            self.check_halving(stage, x)?;
            let pool = Op::MaxPool2d(MaxPool2d(Windows::square(2, self.host.shape(x)[1])));
            let name = self.next_feature();
            x = self.host.add(name, pool, x)?;
            x = self.host.site(&format!("stage{stage}.out"), x)?;
        }
        let n_pixels: usize = self.host.shape(x)[1..].iter().product();
        x = if n_pixels <= FLATTEN_MAX_PIXELS {
            self.host.add("flatten", Flatten, x)?
        } else {
            self.host.add("avgpool", GlobalAvgPool, x)?
        };
        self.head("classifier", x)
    }

    /// What follows the features: dropout and a linear map called `name`.
    fn head(&mut self, name: &str, mut x: NodeIndex) -> Result<NodeIndex, GraphError> {
        x = self.host.site("features", x)?;
        x = self.host.dropout("dropout", self.config.dropout, x)?;
        x = self.host.add(name, Op::linear(self.config.n_outputs), x)?;
        self.host.site("logits", x)
    }

    /// The name of the next module of `features`, numbered as `torch.nn.Sequential` does.
    fn next_feature(&mut self) -> String {
        self.n_features += 1;
        format!("features.{}", self.n_features - 1)
    }

    fn conv(
        &mut self,
        name: &str,
        outputs: usize,
        side: usize,
        step: usize,
        x: NodeIndex,
    ) -> Result<NodeIndex, GraphError> {
        let extent = |len| if self.is_signal() { [1, len] } else { [len, len] };
        let (kernel, stride) = (extent(side), extent(step));
        let padding = [kernel[0] / 2, kernel[1] / 2];
        let bias = self.config.norm == ImageNorm::None;
        let init = Init::FanIn;
        let conv = Op::Conv2d(Conv2d { outputs, kernel, stride, padding, groups: 1, bias, init });
        self.host.add(name, conv, x)
    }

    fn norm(&mut self, name: &str, x: NodeIndex) -> Result<NodeIndex, GraphError> {
        let (eps, weight) = (NORM_EPS, 1.0);
        let norm = match self.config.norm {
            ImageNorm::None => return Ok(x),
            ImageNorm::Batch => {
                Op::BatchNorm(BatchNorm { eps, momentum: BATCH_NORM_MOMENTUM, weight })
            }
            ImageNorm::Group { groups } => Op::GroupNorm(GroupNorm { groups, eps, weight }),
        };
        self.host.add(name, norm, x)
    }

    fn activation(&mut self, name: &str, x: NodeIndex) -> Result<NodeIndex, GraphError> {
        self.host.add(name, Op::Activation(self.config.activation), x)
    }

    fn is_signal(&self) -> bool {
        self.config.input[1] == 1
    }

    fn check_halving(&self, stage: usize, x: NodeIndex) -> Result<(), GraphError> {
        let (height, width) = (self.host.shape(x)[1], self.host.shape(x)[2]);
        if width < 2 || height < 2 && !self.is_signal() {
            let stage = format!("stage{stage}");
            return Err(GraphError::ImageTooSmall { stage, height, width });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Site;

    fn resnet(input: [usize; 3], channels: &[usize], n_blocks: usize) -> CnnConfig {
        let blocks = vec![n_blocks; channels.len()];
        CnnConfig { input, channels: channels.to_vec(), blocks, ..CnnConfig::default() }
    }

    fn build(config: &CnnConfig) -> Result<NetworkGraph, GraphError> {
        NetworkGraph::cnn(config, Loss::CrossEntropy)
    }

    #[test]
    fn resnets_have_the_published_number_of_parameters() {
        // 269,722 with parameter-free shortcuts (He et al. 2016, table 6: 0.27 M); a 1x1 convolution and its norm at
        // each of the two strides add 16 * 32 + 2 * 32 and 32 * 64 + 2 * 64.
        let resnet20 = build(&resnet([3, 32, 32], &[16, 32, 64], 3)).unwrap();
        assert_eq!(resnet20.params_elems(), 269_722 + 576 + 2_176);
        let resnet8 = build(&resnet([3, 32, 32], &[16, 32, 64], 1)).unwrap();
        assert_eq!(resnet8.params_elems(), 78_042);
    }

    #[test]
    fn a_vgg_has_the_published_number_of_parameters() {
        let config = CnnConfig {
            form: CnnForm::Vgg,
            norm: ImageNorm::None,
            blocks: vec![1, 1, 2, 2, 2],
            ..resnet([3, 32, 32], &[64, 128, 256, 512, 512], 1)
        };
        // The convolutions of torchvision's vgg11, and one linear layer.
        assert_eq!(build(&config).unwrap().params_elems(), 9_220_480 + 512 * 10 + 10);
    }

    #[test]
    fn a_resnet_is_named_as_torchvisions() {
        let graph = build(&resnet([3, 8, 8], &[4, 8], 1)).unwrap();
        let names: Vec<String> = graph.params().into_iter().map(|param| param.name).collect();
        let block = |name: &str| {
            ["conv1.weight", "bn1.weight", "bn1.bias", "conv2.weight", "bn2.weight", "bn2.bias"]
                .map(|param| format!("{name}.{param}"))
        };
        let mut expected = ["conv1.weight", "bn1.weight", "bn1.bias"].map(String::from).to_vec();
        expected.extend(block("layer1.0"));
        expected.extend(block("layer2.0"));
        expected.extend(
            ["0.weight", "1.weight", "1.bias"].map(|it| format!("layer2.0.downsample.{it}")),
        );
        expected.extend(["fc.weight", "fc.bias"].map(String::from));
        assert_eq!(names, expected);
    }

    #[test]
    fn a_vgg_is_numbered_as_torchvisions_sequential() {
        let config = CnnConfig {
            form: CnnForm::Vgg,
            blocks: vec![1, 2],
            ..resnet([1, 28, 28], &[16, 32], 1)
        };
        let op_at = |graph: &NetworkGraph, place: usize| {
            graph.node(graph.find(&format!("features.{place}")).unwrap()).op.clone()
        };
        let graph = build(&config).unwrap();
        for (conv, norm, pool) in [(0, 1, None), (4, 5, Some(3)), (7, 8, Some(10))] {
            assert!(matches!(op_at(&graph, conv), Op::Conv2d(Conv2d { bias: false, .. })));
            assert!(matches!(op_at(&graph, norm), Op::BatchNorm(_)));
            assert!(
                pool.is_none_or(|pool| matches!(op_at(&graph, pool), Op::MaxPool2d(MaxPool2d(_))))
            );
        }
        let plain = build(&CnnConfig { norm: ImageNorm::None, ..config }).unwrap();
        for conv in [0, 3, 5] {
            assert!(matches!(op_at(&plain, conv), Op::Conv2d(Conv2d { bias: true, .. })));
        }
        let classifier = plain.find("classifier").unwrap();
        assert_eq!(plain.input_shapes(classifier), [[32 * 7 * 7]], "the last map is flattened");
        let large = CnnConfig { form: CnnForm::Vgg, ..resnet([1, 64, 64], &[16, 32], 1) };
        let large = build(&large).unwrap();
        assert_eq!(large.input_shapes(large.find("classifier").unwrap()), [[32]], "or averaged");
    }

    #[test]
    fn every_known_site_exists_once_and_only_where_it_was_asked_for() {
        for form in [CnnForm::ResNet, CnnForm::Vgg] {
            let mut config = CnnConfig { form, blocks: vec![2, 1], ..CnnConfig::default() };
            let known = config.known_sites();
            assert!(config.default_sites().iter().all(|site| known.contains(site)));
            config.sites = known.clone();
            let graph = build(&config).unwrap();
            let sites: Vec<&str> = graph
                .nodes()
                .filter(|(_, node)| node.op == Op::Site(Site))
                .map(|(_, node)| node.name.as_str())
                .collect();
            assert_eq!(sites, known, "in the order of the network");
            config.sites = vec!["stage2.out".into()];
            let graph = build(&config).unwrap();
            assert_eq!(graph.nodes().filter(|(_, node)| node.op == Op::Site(Site)).count(), 1);
        }
        let unknown = CnnConfig { sites: vec!["stage3.out".into()], ..CnnConfig::default() };
        assert!(matches!(build(&unknown), Err(GraphError::UnknownSite { .. })));
    }

    #[test]
    fn a_signal_is_never_widened_across_its_height() {
        for form in [CnnForm::ResNet, CnnForm::Vgg] {
            let config = CnnConfig { form, ..resnet([1, 1, 40], &[8, 16, 32], 1) };
            let graph = build(&config).unwrap();
            let mut widths = Vec::new();
            for (index, node) in graph.nodes() {
                if let Op::Conv2d(Conv2d { kernel, stride, padding, .. }) = &node.op {
                    assert_eq!((kernel[0], stride[0], padding[0]), (1, 1, 0), "{}", node.name);
                    widths.push(graph.input_shapes(index)[0][2]);
                }
                assert!(node.shape.len() != 3 || node.shape[1] == 1, "{}", node.name);
            }
            assert!(widths.contains(&40) && widths.contains(&20) && widths.contains(&10));
        }
    }

    #[test]
    fn images_too_small_for_their_stages_are_refused_by_stage_and_size() {
        let error = build(&resnet([1, 4, 4], &[4, 8, 16, 32], 1)).unwrap_err().to_string();
        assert!(error.contains("`stage4`") && error.contains("1x1"), "{error}");
        let vgg = CnnConfig { form: CnnForm::Vgg, ..resnet([1, 4, 6], &[4, 8, 16], 1) };
        let error = build(&vgg).unwrap_err().to_string();
        assert!(error.contains("`stage3`") && error.contains("1x1"), "{error}");
        assert!(build(&resnet([1, 1, 1], &[4, 8], 1)).is_err());
        assert!(build(&resnet([1, 0, 8], &[4], 1)).is_err());
    }

    #[test]
    fn settings_out_of_range_are_refused_by_key() {
        let base = CnnConfig::default;
        let rows = [
            ("channels", CnnConfig { channels: vec![], ..base() }),
            ("channels", CnnConfig { channels: vec![0, 4], norm: ImageNorm::None, ..base() }),
            ("blocks", CnnConfig { blocks: vec![1], ..base() }),
            ("blocks", CnnConfig { blocks: vec![1, 0], ..base() }),
            ("kernel", CnnConfig { kernel: 4, ..base() }),
            ("kernel", CnnConfig { kernel: usize::MAX, ..base() }),
            ("groups", CnnConfig { norm: ImageNorm::Group { groups: 5 }, ..base() }),
            ("groups", CnnConfig { norm: ImageNorm::Group { groups: 0 }, ..base() }),
            ("dropout", CnnConfig { dropout: -0.1, ..base() }),
            ("blocks", CnnConfig { blocks: vec![usize::MAX, 1], ..base() }),
            ("elements", CnnConfig { channels: vec![usize::MAX, 1], ..base() }),
            ("elements", CnnConfig { n_outputs: 0, ..base() }),
        ];
        for (word, config) in rows {
            let error = build(&config).unwrap_err().to_string();
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}
