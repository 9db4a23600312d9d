//! Nodes to instructions: the graph is walked forward once, and the instructions backward.

use super::{CompileOptions, Program, SITES_MAX, plan};
use crate::{
    error::GraphError,
    glob,
    graph::{NetworkGraph, NodeIndex},
    op::{Lowered, Lowering, Op, Tape},
    schedule::GradMask,
    tensor::{Param, ParamSpec, TensorId},
};

/// A graph on its way to a program.
pub(super) struct Walk<'a> {
    graph: &'a NetworkGraph,
    /// Patterns of parameters that never train.
    freeze: &'a [String],
    live: Vec<bool>,
    /// Live nodes that read each node, once for each of their inputs.
    readers: Vec<Vec<NodeIndex>>,
    /// The tensor of each node's output.
    tensors: Vec<Option<TensorId>>,
    lowering: Lowering,
    input: Option<(TensorId, Vec<usize>)>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        graph: &'a NetworkGraph,
        options: CompileOptions,
        freeze: &'a [String],
    ) -> Result<Self, GraphError> {
        let live = graph.live_nodes()?;
        let nodes = || graph.nodes().filter(|(index, _)| live[index.index()]);
        let n_inputs = nodes().filter(|(_, node)| matches!(node.op, Op::Input(_))).count();
        if n_inputs != 1 {
            return Err(GraphError::Inputs { found: n_inputs });
        }
        let n_sites = nodes().filter(|(_, node)| matches!(node.op, Op::Site(_))).count();
        if n_sites > SITES_MAX {
            return Err(GraphError::TooManySites { found: n_sites, limit: SITES_MAX });
        }
        let mut readers = vec![Vec::new(); live.len()];
        for (reader, _) in nodes() {
            for input in graph.inputs(reader) {
                readers[input.index()].push(reader);
            }
        }
        let lowering = Lowering::new(options.fuse, options.input_gradient);
        let tensors = vec![None; live.len()];
        Ok(Self { graph, freeze, live, readers, tensors, lowering, input: None })
    }

    /// Lowers every live node.
    pub(super) fn lower(&mut self) {
        for (index, _) in self.graph.nodes() {
            // What was folded into the node before it has its tensor already.
            if self.live[index.index()] && self.tensors[index.index()].is_none() {
                self.lower_node(index);
            }
        }
    }

    fn lower_node(&mut self, index: NodeIndex) {
        let (graph, node) = (self.graph, self.graph.node(index));
        let input_shapes = graph.input_shapes(index);
        let inputs: Vec<TensorId> = graph
            .inputs(index)
            .iter()
            .map(|input| self.tensors[input.index()].expect("inputs are lowered first"))
            .collect();
        let params = self.place_params(node.op.params(&node.name, &input_shapes));
        let buffers = self.lowering.buffers.place(node.op.buffers(&node.name, &input_shapes));
        let upstream = inputs.iter().map(|input| self.lowering.info(*input).mask);
        let mut mask = upstream.fold(GradMask::NONE, GradMask::or);
        mask.params |= params.iter().any(|param| self.lowering.trains(*param));
        let foldable = match self.readers[index.index()].as_slice() {
            [reader] if self.lowering.fuse => match graph.node(*reader).op {
                Op::Activation(kind) => Some((*reader, kind)),
                _ => None,
            },
            _ => None,
        };
        let lowered = Lowered {
            name: &node.name,
            shape: &node.shape,
            input_shapes: &input_shapes,
            inputs: &inputs,
            params: &params,
            buffers: &buffers,
            mask,
            foldable: foldable.map(|(_, kind)| kind),
            is_only_reader: self.is_only_reader(index),
        };
        let output = node.op.lower(&lowered, &mut self.lowering);
        self.tensors[index.index()] = Some(output);
        if self.lowering.take_folded() {
            let (reader, _) = foldable.expect("an op folds what it was offered");
            self.tensors[reader.index()] = Some(output);
        }
        if let Op::Input(_) = node.op {
            self.input = Some((output, node.shape.clone()));
        }
    }

    /// Places `specs`, and notes which of them never train.
    fn place_params(&mut self, specs: Vec<ParamSpec>) -> Vec<Param> {
        let trains = |spec: &ParamSpec| !glob::is_any_match(self.freeze, &spec.name);
        let trains: Vec<bool> = specs.iter().map(trains).collect();
        let params = self.lowering.params.place(specs);
        let frozen = params.iter().zip(trains).filter(|(_, trains)| !trains);
        self.lowering.frozen.extend(frozen.map(|(param, _)| param.offset));
        params
    }

    /// Whether nothing but `index` reads the memory of its first input; a view shares its input's memory.
    fn is_only_reader(&self, index: NodeIndex) -> bool {
        let mut at = index;
        loop {
            let Some(source) = self.graph.inputs(at).first().copied() else { return false };
            if self.readers[source.index()].len() != 1 {
                return false;
            }
            if !self.graph.node(source).op.is_view() {
                return true;
            }
            at = source;
        }
    }

    /// Differentiates, places every tensor, and puts the program together.
    pub(super) fn finish(mut self) -> Result<Program, GraphError> {
        let (input, input_shape) = self.input.take().expect("one input was counted");
        let output_node = self.graph.output()?;
        let output = self.tensors[output_node.index()].expect("the output is alive");
        let loss = match self.graph.node(output_node).op {
            Op::Loss(loss) => Some(loss),
            _ => None,
        };
        let (input_dtype, is_causal) = (self.graph.input_dtype()?, self.graph.is_causal());
        let output_shape = match loss {
            Some(_) => self.graph.input_shapes(output_node)[0].to_vec(),
            None => self.graph.node(output_node).shape.clone(),
        };
        let mut tape = Tape::new(&mut self.lowering);
        differentiate(&mut tape, output, loss.is_none())?;
        let (gradient, output_gradient) = (tape.gradient(input), tape.output_gradient);
        let backward = tape.backward;
        let input_gradient = gradient.filter(|_| self.lowering.input_gradient);
        let pinned: Vec<TensorId> =
            [Some(input), Some(output), input_gradient].into_iter().flatten().collect();
        let boundary: Vec<TensorId> = output_gradient.into_iter().collect();
        let elems: Vec<usize> = self.lowering.tensors.iter().map(|info| info.elems).collect();
        let (regions, workspace_elems) =
            plan::plan(&elems, &self.lowering.forward, &backward, &pinned, &boundary);
        self.lowering.note("memory plan");
        let Lowering { forward, params, buffers, sites, optimizations, .. } = self.lowering;
        Ok(Program {
            forward,
            backward,
            regions,
            params: params.placed,
            params_len_elems: params.len_elems,
            buffers: buffers.placed,
            buffers_len_elems: buffers.len_elems,
            workspace_elems,
            input,
            input_shape,
            input_dtype,
            input_gradient,
            output,
            output_shape,
            output_gradient,
            sites,
            loss,
            is_causal,
            optimizations,
        })
    }
}

/// Writes the backward pass: the forward list read from its end. The gradient of a module's `output` comes from
/// whoever runs it.
///
/// # Errors
///
/// Names a site that no gradient reaches.
fn differentiate(tape: &mut Tape<'_>, output: TensorId, is_module: bool) -> Result<(), GraphError> {
    if is_module && tape.is_wanted(output) {
        let gradient = tape.new_gradient(output);
        tape.set_gradient(output, gradient);
        tape.output_gradient = Some(gradient);
    }
    for at in (0..tape.lowering.forward.len()).rev() {
        let instr = tape.lowering.forward[at].instr.clone();
        instr.reverse(tape)?;
    }
    Ok(())
}
