//! What the words of a graph's input are: numbers or tokens.

use super::NetworkGraph;
use crate::{error::GraphError, op::Op, tensor::DType};

impl NetworkGraph {
    /// What the batch is: tokens where an embedding reads it, else numbers.
    ///
    /// # Errors
    ///
    /// Names a node that reads tokens as if they were numbers, or an embedding that reads numbers; fails on an empty
    /// graph.
    pub fn input_dtype(&self) -> Result<DType, GraphError> {
        let live = self.live_nodes()?;
        // Nodes whose values are the batch's own words.
        let mut is_batch = vec![false; live.len()];
        let (mut embeds, mut computes) = (false, None);
        for (index, node) in self.nodes().filter(|(index, _)| live[index.index()]) {
            let reads_batch = self.inputs(index).iter().any(|input| is_batch[input.index()]);
            match node.op {
                Op::Input(_) => is_batch[index.index()] = true,
                Op::Branch(_) | Op::Site(_) | Op::Reshape(_) | Op::Flatten(_) => {
                    is_batch[index.index()] = reads_batch;
                }
                Op::Embedding(_) if !reads_batch => {
                    return Err(GraphError::ReadsNumbers { node: node.name.clone() });
                }
                Op::Embedding(_) => embeds = true,
                _ if reads_batch && computes.is_none() => computes = Some(&node.name),
                _ => {}
            }
        }
        match (embeds, computes) {
            (false, _) => Ok(DType::F32),
            (true, None) => Ok(DType::U32),
            (true, Some(node)) => Err(GraphError::ReadsTokens { node: node.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        op::{Add, Embedding, Input, Linear, MeanPositions, Reshape},
        program::{CompileOptions, Program},
        tensor::Init,
    };

    const HOST: CompileOptions = CompileOptions::HOST;

    /// Why a text's graph is refused in which another node reads tokens, or an embedding numbers.
    fn refusal(read: &str) -> GraphError {
        let mut graph = NetworkGraph::new();
        let x = graph.add("x", Input { shape: vec![2, 3] }, &[]).unwrap();
        let tokens = graph.add("flat", Reshape { shape: vec![6] }, &[x]).unwrap();
        let table = Embedding { vocabulary: 5, width: 4, init: Init::Normal(1.0) };
        let features = graph.add("embed", table.clone(), &[tokens]).unwrap();
        let mean = graph.add("mean", MeanPositions, &[features]).unwrap();
        assert_eq!(Program::compile(&graph, HOST).unwrap().input_dtype, DType::U32);
        if read == "tokens" {
            let map = graph.add("map", Linear::new(4), &[tokens]).unwrap();
            graph.add("sum", Add, &[mean, map]).unwrap();
        } else {
            graph.add("again", table, &[mean]).unwrap();
        }
        Program::compile(&graph, HOST).unwrap_err()
    }

    #[test]
    fn tokens_are_for_embeddings_and_embeddings_for_tokens() {
        assert_eq!(refusal("tokens"), GraphError::ReadsTokens { node: "map".into() });
        assert_eq!(refusal("numbers"), GraphError::ReadsNumbers { node: "again".into() });
    }

    #[test]
    fn other_batches_are_numbers() {
        let mut graph = NetworkGraph::new();
        let x = graph.add("x", Input { shape: vec![3] }, &[]).unwrap();
        graph.add("y", Linear::new(2), &[x]).unwrap();
        assert_eq!(graph.input_dtype(), Ok(DType::F32));
    }
}
