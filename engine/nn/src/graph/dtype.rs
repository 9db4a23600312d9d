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
