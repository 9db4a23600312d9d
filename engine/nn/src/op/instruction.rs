//! What instructions have in common.

use crate::tensor::TensorId;

/// One call of a kernel, on tensors and parameters of a program.
pub trait Instruction {
    /// Every tensor it touches.
    fn tensors(&self) -> Vec<TensorId>;

    /// Scratch its kernel needs for `rows` examples.
    fn scratch_len_elems(&self, _rows: usize) -> usize {
        0
    }
}

/// An operand of an instruction: a tensor, or none.
pub(super) trait Operand {
    fn add_to(self, tensors: &mut Vec<TensorId>);
}

impl Operand for TensorId {
    fn add_to(self, tensors: &mut Vec<TensorId>) {
        tensors.push(self);
    }
}

impl Operand for Option<TensorId> {
    fn add_to(self, tensors: &mut Vec<TensorId>) {
        tensors.extend(self);
    }
}

/// Declares an instruction: its operands, which of them are tensors, and the scratch it needs.
///
/// Operands are tensors or [`Param`](crate::tensor::Param)s, whose gradients lie at the same offsets in the gradient
/// block; shapes are those of one example.
macro_rules! instruction {
    (
        $(#[$meta:meta])*
        $name:ident { $($field:ident: $type:ty),+ $(,)? }
        tensors: $($operand:ident),+;
        $(scratch_len_elems: |$it:ident, $rows:ident| $scratch:expr;)?
    ) => {
        $(#[$meta])*
        #[derive(serde::Serialize, serde::Deserialize, Clone, Copy, Debug, PartialEq)]
        #[expect(missing_docs, reason = "an operand's name is its meaning in the formula")]
        pub struct $name { $(pub $field: $type),+ }

        impl $crate::op::Instruction for $name {
            fn tensors(&self) -> Vec<$crate::tensor::TensorId> {
                let mut tensors = Vec::new();
                $($crate::op::instruction::Operand::add_to(self.$operand, &mut tensors);)+
                tensors
            }

            $(fn scratch_len_elems(&self, $rows: usize) -> usize {
                let $it = self;
                $scratch
            })?
        }
    };
}
pub(super) use instruction;
