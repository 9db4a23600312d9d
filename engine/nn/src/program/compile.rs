//! Graph to program: shape check, dead code, fusion, lowering, differentiation, memory plan.

use esper_kernels::cpu::Activation;
use serde::{Deserialize, Serialize};

use super::{
    GradMask, INPUT_GRADIENT, Instr, PARAM_ALIGN_ELEMS, Param, PlacedParam, Program, SITES_MAX,
    ScheduledInstr, SiteInfo, TensorId, plan,
};
use crate::graph::{GraphError, NetworkGraph, NodeIndex, Op, ParamSpec};

/// Split of every kernel's name: raise it when compilation changes what a program computes or how it is written.
pub const PIPELINE_VERSION: u32 = 2;

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
    pub need: GradMask,
}

/// Parameters or buffers, one after another.
#[derive(Default)]
struct Block {
    placed: Vec<PlacedParam>,
    len: usize,
}

impl Block {
    fn place(&mut self, specs: Vec<ParamSpec>) -> Vec<Param> {
        let mut places = Vec::with_capacity(specs.len());
        for spec in specs {
            let (offset, len) = (self.len, spec.len_elems());
            self.len += len.next_multiple_of(PARAM_ALIGN_ELEMS);
            self.placed.push(PlacedParam { spec, offset });
            places.push(Param { offset, len });
        }
        places
    }
}

/// A node about to be lowered.
pub(super) struct Lowered {
    pub index: NodeIndex,
    pub inputs: Vec<TensorId>,
    pub params: Vec<Param>,
    pub buffers: Vec<Param>,
    pub need: GradMask,
    /// Values an example of its output.
    pub elems: usize,
}

pub(super) struct Lowering<'a> {
    pub graph: &'a NetworkGraph,
    pub options: CompileOptions,
    live: Vec<bool>,
    /// The tensor of each node's output, by node.
    pub tensors: Vec<Option<TensorId>>,
    /// What is known of each tensor.
    pub info: Vec<TensorInfo>,
    params: Block,
    buffers: Block,
    pub forward: Vec<ScheduledInstr>,
    pub sites: Vec<SiteInfo>,
    input: Option<(TensorId, Vec<usize>)>,
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
            params: Block::default(),
            buffers: Block::default(),
            forward: Vec::new(),
            sites: Vec::new(),
            input: None,
            optimizations: Vec::new(),
        })
    }

    pub(super) fn tensor(&mut self, elems: usize, need: GradMask) -> TensorId {
        self.info.push(TensorInfo { elems, need });
        TensorId(self.info.len() as u32 - 1)
    }

    pub(super) fn push(&mut self, instr: Instr, flops: u64) {
        self.forward.push(ScheduledInstr { instr, mask: GradMask::default(), flops });
    }

    pub(super) fn note(&mut self, optimization: &str) {
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
            if !matches!(self.graph.node(source).op, Op::Reshape { .. } | Op::Flatten) {
                return true;
            }
            source = self.graph.inputs(source)[0];
        }
    }

    /// Places the parameters and buffers of a node, and returns where.
    fn place(&mut self, index: NodeIndex) -> (Vec<Param>, Vec<Param>) {
        let node = self.graph.node(index);
        let shapes = self.graph.input_shapes(index);
        let params = node.op.params(&node.name, &shapes);
        let buffers = node.op.buffers(&node.name, &shapes);
        (self.params.place(params), self.buffers.place(buffers))
    }

    /// Where the weight of the embedding called `name` lies.
    pub(super) fn embedding_weight(&self, name: &str) -> Param {
        let wanted = format!("{name}.weight");
        let placed = self.params.placed.iter().find(|param| param.spec.name == wanted);
        let placed = placed.expect("a tied head's embedding is alive: it feeds it");
        Param { offset: placed.offset, len: placed.spec.len_elems() }
    }

    /// The activation that reads `index` and nothing else does, if it may be folded into it.
    pub(super) fn foldable_activation(&self, index: NodeIndex) -> Option<(NodeIndex, Activation)> {
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
        let (params, buffers) = self.place(index);
        let mut need = inputs.iter().fold(GradMask::default(), |need, input| {
            let other = self.info[input.0 as usize].need;
            GradMask { params: need.params || other.params, sites: need.sites | other.sites }
        });
        need.params |= !params.is_empty();
        let output = match &node.op {
            Op::Input { shape } => {
                need.sites |= if self.options.input_gradient { INPUT_GRADIENT } else { 0 };
                let x = self.tensor(elems, need);
                self.input = Some((x, shape.clone()));
                x
            }
            Op::Site => self.lower_site(index, inputs[0], need, elems),
            Op::Reshape { .. } | Op::Flatten => inputs[0],
            Op::Loss(loss) => self.lower_loss(*loss, index, inputs[0]),
            _ => self.lower_op(Lowered { index, inputs, params, buffers, need, elems }),
        };
        self.tensors[index.index()] = Some(output);
    }

    /// A site is its input's own memory, unless something else reads that input too.
    fn lower_site(
        &mut self,
        index: NodeIndex,
        x: TensorId,
        mut need: GradMask,
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

    fn finish(mut self) -> Result<Program, GraphError> {
        let (input, input_shape) = self.input.clone().expect("one input was counted");
        let output_node = self.graph.output()?;
        let output = self.tensors[output_node.index()].expect("the output is alive");
        let loss = match self.graph.node(output_node).op {
            Op::Loss(loss) => Some(loss),
            _ => None,
        };
        let differentiated = super::backward::differentiate(&mut self, input, output, loss)?;
        let elems: Vec<usize> = self.info.iter().map(|info| info.elems).collect();
        let pinned: Vec<TensorId> = [Some(input), Some(output), differentiated.input_gradient]
            .into_iter()
            .flatten()
            .collect();
        let boundary: Vec<TensorId> = differentiated.output_gradient.into_iter().collect();
        let (regions, workspace_elems) =
            plan::plan(&elems, &self.forward, &differentiated.backward, &pinned, &boundary);
        let output_shape = match loss {
            Some(_) => self.graph.input_shapes(output_node)[0].to_vec(),
            None => self.graph.node(output_node).shape.clone(),
        };
        self.note("memory plan");
        Ok(Program {
            forward: self.forward,
            backward: differentiated.backward,
            regions,
            params: self.params.placed,
            params_len_elems: self.params.len,
            buffers: self.buffers.placed,
            buffers_len_elems: self.buffers.len,
            workspace_elems,
            input,
            input_shape,
            input_gradient: differentiated.input_gradient,
            output,
            output_shape,
            output_gradient: differentiated.output_gradient,
            sites: self.sites,
            loss,
            is_causal: self.graph.is_causal(),
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
