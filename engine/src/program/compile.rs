//! Graph to program: shape check, dead code, fusion, lowering, differentiation, memory plan.

use esper_kernels::cpu::Activation;
use serde::{Deserialize, Serialize};

use super::{
    INPUT_GRADIENT, Instr, Need, PARAM_ALIGN_ELEMS, Param, PlacedParam, Program, SITES_MAX,
    SiteInfo, Step, TensorId, instr::ConvSpec, plan,
};
use crate::graph::{GraphError, Loss, NetworkGraph, NodeIndex, Op};

/// Part of every kernel's name: raise it when compilation changes what a program computes or how it is written.
pub const PIPELINE_VERSION: u32 = 1;

/// What to compile for.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileOptions {
    /// Whether bias and activation are folded into the linear map before them. Changes no bit of any result.
    pub fuse: bool,
    /// Whether the gradient of the input can be asked for, as a module's must.
    pub input_gradient: bool,
}

impl CompileOptions {
    /// A host: fused; nobody asks for the gradient of the data.
    pub const HOST: Self = Self { fuse: true, input_gradient: false };
    /// A module, fused.
    pub const MODULE: Self = Self { fuse: true, input_gradient: true };
    /// A module, one instruction an op: what [`Self::MODULE`] is compared with.
    pub const REFERENCE: Self = Self { fuse: false, input_gradient: true };
}

impl Program {
    /// Compiles `graph`.
    ///
    /// # Errors
    ///
    /// Fails when the graph is empty, has no input or several, or has more sites than a program can carry.
    pub fn compile(graph: &NetworkGraph, options: CompileOptions) -> Result<Self, GraphError> {
        let mut lowering = Lowering::new(graph, options)?;
        for (index, _) in graph.nodes() {
            if lowering.live[index.index()] {
                lowering.lower(index);
            }
        }
        lowering.finish()
    }
}

/// What differentiation needs to know of a lowered tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct TensorInfo {
    pub elems: usize,
    /// What lies upstream: who may want this tensor's gradient.
    pub need: Need,
}

pub(super) struct Lowering<'a> {
    pub graph: &'a NetworkGraph,
    pub options: CompileOptions,
    live: Vec<bool>,
    /// The tensor of each node's output, by node.
    tensors: Vec<Option<TensorId>>,
    /// What is known of each tensor.
    pub info: Vec<TensorInfo>,
    params: Vec<PlacedParam>,
    params_len: usize,
    pub forward: Vec<Step>,
    pub sites: Vec<SiteInfo>,
    input: Option<(TensorId, Vec<usize>)>,
    n_dropouts: u64,
    pub optimizations: Vec<String>,
}

impl<'a> Lowering<'a> {
    fn new(graph: &'a NetworkGraph, options: CompileOptions) -> Result<Self, GraphError> {
        let n_slots = graph.nodes().map(|(index, _)| index.index() + 1).max().unwrap_or(0);
        let live = live_nodes(graph, n_slots)?;
        let is_live = |index: NodeIndex| live[index.index()];
        let n_inputs = graph
            .nodes()
            .filter(|(index, node)| is_live(*index) && matches!(node.op, Op::Input { .. }))
            .count();
        if n_inputs != 1 {
            return Err(GraphError::Inputs { found: n_inputs });
        }
        let n_sites =
            graph.nodes().filter(|(index, node)| is_live(*index) && node.op == Op::Site).count();
        if n_sites > SITES_MAX {
            return Err(GraphError::TooManySites { found: n_sites, limit: SITES_MAX });
        }
        Ok(Self {
            graph,
            options,
            live,
            tensors: vec![None; n_slots],
            info: Vec::new(),
            params: Vec::new(),
            params_len: 0,
            forward: Vec::new(),
            sites: Vec::new(),
            input: None,
            n_dropouts: 0,
            optimizations: Vec::new(),
        })
    }

    pub(super) fn tensor(&mut self, elems: usize, need: Need) -> TensorId {
        self.info.push(TensorInfo { elems, need });
        TensorId(self.info.len() as u32 - 1)
    }

    fn push(&mut self, instr: Instr, flops: u64) {
        self.forward.push(Step { instr, need: Need::default(), flops });
    }

    fn note(&mut self, optimization: &str) {
        if !self.optimizations.iter().any(|known| known == optimization) {
            self.optimizations.push(optimization.to_owned());
        }
    }

    /// Nodes that read `index` and are alive.
    fn readers(&self, index: NodeIndex) -> Vec<NodeIndex> {
        let nodes = self.graph.nodes().filter(|(reader, _)| self.live[reader.index()]);
        nodes
            .flat_map(|(reader, _)| {
                let inputs = self.graph.inputs(reader);
                inputs.into_iter().filter(move |input| *input == index).map(move |_| reader)
            })
            .collect()
    }

    /// Whether nothing but `index` reads the memory of its input; a reshape shares its input's memory.
    fn is_only_reader(&self, index: NodeIndex) -> bool {
        let mut source = self.graph.inputs(index)[0];
        loop {
            if self.readers(source).len() != 1 {
                return false;
            }
            if !matches!(self.graph.node(source).op, Op::Reshape { .. }) {
                return true;
            }
            source = self.graph.inputs(source)[0];
        }
    }

    fn place_params(&mut self, index: NodeIndex) -> Vec<Param> {
        let node = self.graph.node(index);
        let inputs = self.graph.inputs(index);
        let shapes: Vec<&[usize]> =
            inputs.iter().map(|input| self.graph.node(*input).shape.as_slice()).collect();
        let mut placed = Vec::new();
        for spec in node.op.params(&node.name, &shapes) {
            let (offset, len) = (self.params_len, spec.len_elems());
            self.params_len += len.next_multiple_of(PARAM_ALIGN_ELEMS);
            self.params.push(PlacedParam { spec, offset });
            placed.push(Param { offset, len });
        }
        placed
    }

    /// The activation that reads `index` and nothing else does, if it may be folded into it.
    fn foldable_activation(&self, index: NodeIndex) -> Option<(NodeIndex, Activation)> {
        if !self.options.fuse {
            return None;
        }
        match self.readers(index).as_slice() {
            [reader] => match self.graph.node(*reader).op {
                Op::Activation(kind) => Some((*reader, kind)),
                _ => None,
            },
            _ => None,
        }
    }

    fn lower(&mut self, index: NodeIndex) {
        if self.tensors[index.index()].is_some() {
            return; // Folded into the node before it.
        }
        let node = self.graph.node(index);
        let elems: usize = node.shape.iter().product();
        let inputs: Vec<TensorId> = self
            .graph
            .inputs(index)
            .iter()
            .map(|input| self.tensors[input.index()].expect("inputs are lowered first"))
            .collect();
        let params = self.place_params(index);
        let mut need = inputs.iter().fold(Need::default(), |need, input| {
            let other = self.info[input.0 as usize].need;
            Need { params: need.params || other.params, sites: need.sites | other.sites }
        });
        need.params |= !params.is_empty();
        let output = match &node.op {
            Op::Input { shape } => {
                need.sites |= if self.options.input_gradient { INPUT_GRADIENT } else { 0 };
                let x = self.tensor(elems, need);
                self.input = Some((x, shape.clone()));
                x
            }
            Op::Linear { .. } => self.lower_linear(index, inputs[0], &params, need, elems),
            Op::Site => self.lower_site(index, inputs[0], need, elems),
            Op::Reshape { .. } => inputs[0],
            Op::Loss(loss) => self.lower_loss(*loss, inputs[0]),
            op => self.lower_plain(op, &inputs, &params, need, elems, index),
        };
        self.tensors[index.index()] = Some(output);
    }

    fn lower_linear(
        &mut self,
        index: NodeIndex,
        x: TensorId,
        params: &[Param],
        need: Need,
        outputs: usize,
    ) -> TensorId {
        let flops = 2 * self.info[x.0 as usize].elems as u64 * outputs as u64;
        let (weight, bias) = (params[0], params.get(1).copied());
        if !self.options.fuse {
            let z = self.tensor(outputs, need);
            self.push(
                Instr::Linear { x, weight, bias: None, activation: None, pre: None, y: z },
                flops,
            );
            let Some(bias) = bias else { return z };
            let y = self.tensor(outputs, need);
            self.push(Instr::Bias { x: z, bias, y }, outputs as u64);
            return y;
        }
        let folded = self.foldable_activation(index);
        let activation = folded.map(|(_, kind)| kind);
        let pre = activation.filter(|kind| kind.saves_input()).map(|_| self.tensor(outputs, need));
        let y = self.tensor(outputs, need);
        if let Some((reader, kind)) = folded {
            self.tensors[reader.index()] = Some(y);
            self.note(&format!("linear+{kind:?}").to_lowercase());
        }
        let elementwise =
            u64::from(bias.is_some()) + activation.map_or(0, |kind| kind.flops_per_elem());
        self.push(
            Instr::Linear { x, weight, bias, activation, pre, y },
            flops + elementwise * outputs as u64,
        );
        if bias.is_some() {
            self.note("linear+bias");
        }
        y
    }

    /// A site is its input's own memory, unless something else reads that input too.
    fn lower_site(
        &mut self,
        index: NodeIndex,
        x: TensorId,
        mut need: Need,
        elems: usize,
    ) -> TensorId {
        let site = self.sites.len();
        need.sites |= 1 << site;
        let x = if self.is_only_reader(index) {
            self.info[x.0 as usize].need = need;
            self.note("site in place");
            x
        } else {
            let y = self.tensor(elems, need);
            self.push(Instr::Copy { x, y }, 0);
            y
        };
        let node = self.graph.node(index);
        self.sites.push(SiteInfo {
            name: node.name.clone(),
            shape: node.shape.clone(),
            x,
            gradient: x,
            forward_step: self.forward.len(),
            backward_step: 0,
        });
        self.push(Instr::Site { site, x }, 0);
        x
    }

    fn lower_loss(&mut self, loss: Loss, x: TensorId) -> TensorId {
        let width = self.info[x.0 as usize].elems;
        let need = self.info[x.0 as usize].need;
        let gradient = self.tensor(width, need);
        // Softmax: max, subtract, exp (about 20), sum, divide, label, gradient: counted as 25 a logit.
        match loss {
            Loss::CrossEntropy => {
                self.push(Instr::CrossEntropy { logits: x, gradient }, 25 * width as u64);
            }
            Loss::MeanSquaredError => {
                self.push(Instr::MeanSquaredError { prediction: x, gradient }, 4 * width as u64);
            }
        }
        x
    }

    fn lower_plain(
        &mut self,
        op: &Op,
        inputs: &[TensorId],
        params: &[Param],
        need: Need,
        elems: usize,
        index: NodeIndex,
    ) -> TensorId {
        let (x, other) = (inputs[0], self.second_input(inputs));
        let row_need = Need::default();
        let y = self.tensor(elems, need);
        let (instr, flops_per_elem) = match *op {
            Op::Bias => (Instr::Bias { x, bias: params[0], y }, 1),
            Op::Activation(kind) => (Instr::Activation { kind, x, y }, kind.flops_per_elem()),
            Op::LayerNorm { eps, .. } => {
                let (mean, rstd) = (self.tensor(1, row_need), self.tensor(1, row_need));
                let (weight, bias) = (params[0], params[1]);
                (Instr::LayerNorm { x, weight, bias, eps, mean, rstd, y }, 8)
            }
            Op::RmsNorm { eps, .. } => {
                let rstd = self.tensor(1, row_need);
                (Instr::RmsNorm { x, weight: params[0], eps, rstd, y }, 4)
            }
            Op::Add => (Instr::Add { a: x, b: other, y }, 1),
            Op::Multiply => (Instr::Multiply { a: x, b: other, y }, 1),
            Op::Residual { alpha } => (Instr::Residual { x, f: other, alpha, y }, 2),
            Op::Blend { alpha } => (Instr::Blend { x, m: other, alpha, y }, 4),
            Op::Scale { factor } => (Instr::Scale { x, factor, y }, 1),
            Op::LayerScale { .. } => (Instr::LayerScale { x, weight: params[0], y }, 1),
            Op::Gate => (Instr::Gate { x, weight: params[0], y }, 1),
            Op::Dropout { p } => {
                self.n_dropouts += 1;
                (Instr::Dropout { x, p, salt: self.n_dropouts, y }, 1)
            }
            Op::Fork => (Instr::Copy { x, y }, 0),
            Op::Conv1d { outputs, kernel, stride, padding, .. } => {
                let shape = &self.graph.node(self.graph.inputs(index)[0]).shape;
                let (in_channels, len) = (shape[0], shape[1]);
                let spec =
                    ConvSpec { in_channels, out_channels: outputs, len, kernel, stride, padding };
                let bias = params.get(1).copied();
                let per_output = 2 * (in_channels * kernel) as u64 + u64::from(bias.is_some());
                (Instr::Conv1d { spec, x, weight: params[0], bias, y }, per_output)
            }
            Op::Input { .. } | Op::Linear { .. } | Op::Site | Op::Reshape { .. } | Op::Loss(_) => {
                unreachable!("lowered by their own functions")
            }
        };
        self.push(instr, flops_per_elem * elems as u64);
        y
    }

    /// The second input, in memory of its own: no kernel reads one tensor as both of its inputs.
    fn second_input(&mut self, inputs: &[TensorId]) -> TensorId {
        match *inputs {
            [a, b] if a == b => {
                let TensorInfo { elems, need } = self.info[a.0 as usize];
                let y = self.tensor(elems, need);
                self.push(Instr::Copy { x: a, y }, 0);
                y
            }
            [_, b] => b,
            _ => inputs[0],
        }
    }

    fn finish(mut self) -> Result<Program, GraphError> {
        let (input, input_shape) = self.input.clone().expect("one input was counted");
        let output_node = self.graph.output()?;
        let output = self.tensors[output_node.index()].expect("the output is alive");
        let loss = match self.graph.node(output_node).op {
            Op::Loss(loss) => Some(loss),
            _ => None,
        };
        let differentiated = super::backward::differentiate(&mut self, input, output, loss);
        let elems: Vec<usize> = self.info.iter().map(|info| info.elems).collect();
        let pinned: Vec<TensorId> = [Some(input), Some(output), differentiated.input_gradient]
            .into_iter()
            .flatten()
            .collect();
        let boundary: Vec<TensorId> = differentiated.output_gradient.into_iter().collect();
        let (regions, workspace_elems) =
            plan::plan(&elems, &self.forward, &differentiated.backward, &pinned, &boundary);
        let output_shape = match loss {
            Some(_) => vec![elems[output.0 as usize]],
            None => self.graph.node(output_node).shape.clone(),
        };
        self.note("memory plan");
        Ok(Program {
            forward: self.forward,
            backward: differentiated.backward,
            regions,
            params: self.params,
            params_len_elems: self.params_len,
            workspace_elems,
            input,
            input_shape,
            input_gradient: differentiated.input_gradient,
            output,
            output_shape,
            output_gradient: differentiated.output_gradient,
            sites: self.sites,
            loss,
            optimizations: self.optimizations,
        })
    }
}

/// Nodes the output depends on; the rest is dead code.
pub(super) fn live_nodes(graph: &NetworkGraph, n_slots: usize) -> Result<Vec<bool>, GraphError> {
    let mut live = vec![false; n_slots];
    let mut pending = vec![graph.output()?];
    while let Some(index) = pending.pop() {
        if !std::mem::replace(&mut live[index.index()], true) {
            pending.extend(graph.inputs(index));
        }
    }
    Ok(live)
}
