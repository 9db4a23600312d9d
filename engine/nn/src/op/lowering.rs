//! The forward pass of a program in the making, as ops write it.

use std::collections::BTreeSet;

use esper_kernels::cpu::{Activation, ChannelShape};
use serde::{Deserialize, Serialize};

use super::{CopyForward, Forward};
use crate::{
    schedule::{GradMask, Scheduled},
    tensor::{Param, ParamBlock, Shape, TensorId, channel_shape},
};

/// What differentiation needs to know of a lowered tensor.
#[derive(Clone, Copy, Debug)]
pub struct TensorInfo {
    /// Values an example.
    pub elems: usize,
    /// What lies upstream: who may want this tensor's gradient.
    pub mask: GradMask,
}

/// A node about to be lowered.
#[derive(Clone, Copy, Debug)]
pub struct Lowered<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its output's per-example shape.
    pub shape: &'a [usize],
    /// Its inputs' per-example shapes.
    pub input_shapes: &'a [&'a [usize]],
    /// Its inputs.
    pub inputs: &'a [TensorId],
    /// Its parameters, in the order in which the op names them.
    pub params: &'a [Param],
    /// Its buffers, likewise.
    pub buffers: &'a [Param],
    /// Who may want its output's gradient.
    pub mask: GradMask,
    /// The activation that alone reads its output, where folding is wanted.
    pub foldable: Option<Activation>,
    /// Whether nothing else reads the memory of its first input.
    pub is_only_reader: bool,
}

impl Lowered<'_> {
    /// Values an example of its output.
    pub fn elems(&self) -> usize {
        self.shape.iter().product()
    }

    /// The first input as features.
    pub fn channels(&self) -> ChannelShape {
        channel_shape(self.input_shapes[0])
    }

    /// The first input as an image.
    pub fn image(&self) -> [usize; 3] {
        self.input_shapes[0].try_into().expect("shapes were inferred")
    }
}

/// The forward pass so far.
#[derive(Debug, Default)]
pub struct Lowering {
    /// Whether bias and activation are folded into the map before them.
    pub fuse: bool,
    /// Whether the gradient of the input can be asked for.
    pub input_gradient: bool,
    /// What is known of each tensor.
    pub tensors: Vec<TensorInfo>,
    /// Where parameters lie.
    pub params: ParamBlock,
    /// Where those lie that never change: nobody wants their gradients.
    pub frozen: BTreeSet<usize>,
    /// Where buffers lie.
    pub buffers: ParamBlock,
    /// The instructions.
    pub forward: Vec<Scheduled<Forward>>,
    /// Where seeds may be planted.
    pub sites: Vec<SiteInfo>,
    /// Names of what was done to save time or memory.
    pub optimizations: Vec<String>,
    is_folded: bool,
}

impl Lowering {
    /// Nothing yet.
    pub fn new(fuse: bool, input_gradient: bool) -> Self {
        Self { fuse, input_gradient, ..Self::default() }
    }

    /// A new tensor.
    pub fn tensor(&mut self, elems: usize, mask: GradMask) -> TensorId {
        self.tensors.push(TensorInfo { elems, mask });
        TensorId(self.tensors.len() as u32 - 1)
    }

    /// A tensor for the output of `node`.
    pub fn output(&mut self, node: &Lowered<'_>) -> TensorId {
        self.tensor(node.elems(), node.mask)
    }

    /// What is known of a tensor.
    pub fn info(&self, id: TensorId) -> TensorInfo {
        self.tensors[id.0 as usize]
    }

    /// Whether the parameter's gradient is ever wanted.
    pub fn trains(&self, param: Param) -> bool {
        !self.frozen.contains(&param.offset)
    }

    /// Appends an instruction that costs `flops` an example.
    pub fn push(&mut self, instr: impl Into<Forward>, flops: usize) {
        let (instr, flops) = (instr.into(), flops as u64);
        self.forward.push(Scheduled { instr, mask: GradMask::NONE, flops });
    }

    /// Notes that something was optimized.
    pub fn note(&mut self, optimization: &str) {
        if !self.optimizations.iter().any(|known| known == optimization) {
            self.optimizations.push(optimization.to_owned());
        }
    }

    /// Says that what was pushed for this node computes its [foldable](Lowered::foldable) activation too.
    pub fn fold(&mut self, optimization: &str) {
        self.is_folded = true;
        self.note(optimization);
    }

    /// Folds the rectifier that follows `node`, if one does: its map computes it too.
    pub fn fold_rectifier(&mut self, node: &Lowered<'_>, what: &str) -> bool {
        let is_rectifier = node.foldable == Some(Activation::Relu);
        if is_rectifier {
            self.fold(&format!("{what}+relu"));
        }
        is_rectifier
    }

    /// Whether the node just lowered has folded its activation; asking forgets it.
    pub fn take_folded(&mut self) -> bool {
        std::mem::take(&mut self.is_folded)
    }

    /// The two inputs of `node`, the second copied if it is the first: no kernel reads one tensor as both.
    pub fn distinct_pair(&mut self, node: &Lowered<'_>) -> [TensorId; 2] {
        let (x, other) = (node.inputs[0], node.inputs[1]);
        if x != other {
            return [x, other];
        }
        let TensorInfo { elems, mask } = self.info(x);
        let y = self.tensor(elems, mask);
        self.push(CopyForward { x, y }, 0);
        [x, y]
    }
}

/// A place where seeds may be planted.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct SiteInfo {
    /// Its name, such as `hidden0`.
    pub name: String,
    /// The per-example shape a module must keep.
    pub shape: Shape,
    /// The activation.
    pub x: TensorId,
    /// The task gradient at it.
    pub gradient: TensorId,
    /// The site's instruction in the forward pass.
    pub forward_step: usize,
    /// The site's instruction in the backward pass.
    pub backward_step: usize,
}
