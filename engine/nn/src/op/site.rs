//! Sites.

use serde::{Deserialize, Serialize};

use super::{
    CopyForward, Differentiable, Evaluation, Inference, Lowered, Lowering, OpRule, SiteInfo, Tape,
    instruction::instruction,
};
use crate::{
    error::GraphError,
    schedule::GradMask,
    tensor::{Shape, TensorId},
};

/// A named place where seeds may be planted: `y = x` until one is grafted.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub struct Site;

impl OpRule for Site {
    const WORD: &'static str = "site";
    const TORCH: &'static str = "torch.nn.Identity";

    fn unset() -> Self {
        Self
    }

    fn output_shape(&self, at: &Inference<'_>) -> Result<Shape, GraphError> {
        at.same()
    }

    /// A module has no site of its own.
    fn is_causal(&self) -> bool {
        false
    }

    /// A site is its input's own memory, unless something else reads that input too.
    fn lower(&self, node: &Lowered<'_>, lowering: &mut Lowering) -> TensorId {
        let (site, input) = (lowering.sites.len(), node.inputs[0]);
        let mask = node.mask.or(GradMask { params: false, sites: 1 << site });
        let x = if node.is_only_reader {
            lowering.tensors[input.0 as usize].mask = mask;
            lowering.note("site in place");
            input
        } else {
            let y = lowering.tensor(node.elems(), mask);
            lowering.push(CopyForward { x: input, y }, 0);
            y
        };
        lowering.sites.push(SiteInfo {
            name: node.name.to_owned(),
            shape: node.shape.to_vec(),
            x,
            gradient: x,
            forward_step: lowering.forward.len(),
            backward_step: 0,
        });
        lowering.push(SiteForward { site, x }, 0);
        x
    }

    fn evaluate(&self, node: &Evaluation<'_>) -> Vec<f64> {
        node.x().to_vec()
    }
}

instruction! {
    /// What seeds do with `x` in the forward pass.
    SiteForward { site: usize, x: TensorId }
    tensors: x;
}

impl Differentiable for SiteForward {
    fn reverse(&self, tape: &mut Tape<'_>) -> Result<(), GraphError> {
        let Self { site, x } = *self;
        let Some(gradient) = tape.gradient(x) else {
            return Err(GraphError::NoGradient { site: tape.lowering.sites[site].name.clone() });
        };
        let place = tape.backward.len();
        let info = &mut tape.lowering.sites[site];
        (info.gradient, info.backward_step) = (gradient, place);
        tape.push(SiteGrad { site, x, gradient }, tape.mask(x), 0);
        Ok(())
    }
}

instruction! {
    /// What seeds do with the gradient at the site in the backward pass.
    SiteGrad { site: usize, x: TensorId, gradient: TensorId }
    tensors: x, gradient;
}
