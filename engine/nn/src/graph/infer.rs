//! Shape inference: what each op accepts, and what it gives.

use super::{GraphError, Op, Pool, Shape, op::features};

/// Inputs a concatenation takes at most.
const CONCAT_MAX: usize = 64;

impl Op {
    /// The op's output shape for inputs of `shapes`.
    ///
    /// # Errors
    ///
    /// Names `node` when the inputs' number or shapes do not fit.
    pub fn infer_shape(&self, node: &str, shapes: &[&[usize]]) -> Result<Shape, GraphError> {
        self.check_arity(node, shapes.len())?;
        self.check_settings(node)?;
        let at = Inference { node };
        match self {
            Self::Input { shape } => Ok(shape.clone()),
            Self::Linear { outputs, .. } => match shapes[0] {
                [_] => Ok(vec![*outputs]),
                [len, _] => Ok(vec![*len, *outputs]),
                other => at.refuse("input", vec![other.iter().product()], other),
            },
            Self::TiedLinear { .. } => Err(GraphError::Setting {
                node: node.to_owned(),
                what: "a tied head's shape comes from its embedding",
            }),
            Self::Embedding { width, .. } => match shapes[0] {
                [len] => Ok(vec![*len, *width]),
                other => at.refuse("tokens", vec![other.iter().product()], other),
            },
            Self::Positions { .. } | Self::MeanPositions => match shapes[0] {
                [_, width] if *self == Self::MeanPositions => Ok(vec![*width]),
                [_, _] => Ok(shapes[0].to_vec()),
                other => at.refuse("input [len, width]", vec![1, other.iter().product()], other),
            },
            Self::Attention { heads, .. } => match shapes[0] {
                [len, wide] if wide.is_multiple_of(3 * heads) => Ok(vec![*len, wide / 3]),
                other => at.refuse("queries, keys and values", vec![other[0], 3 * heads], other),
            },
            Self::LayerNorm { .. } | Self::RmsNorm { .. } if shapes[0].len() > 2 => {
                at.refuse("input", vec![shapes[0].iter().product()], shapes[0])
            }
            Self::BatchNorm { .. } if shapes[0].len() == 2 => {
                at.refuse("input", vec![shapes[0][1], shapes[0][0], 1], shapes[0])
            }
            Self::Conv2d { .. }
            | Self::PatchEmbed { .. }
            | Self::MaxPool2d(_)
            | Self::AvgPool2d(_)
            | Self::GlobalAvgPool
            | Self::GroupNorm { .. } => self.infer_image(at, shapes[0]),
            Self::Add | Self::Multiply | Self::Residual { .. } | Self::Blend { .. } => {
                if shapes[0] == shapes[1] {
                    Ok(shapes[0].to_vec())
                } else {
                    at.refuse("second input", shapes[0].to_vec(), shapes[1])
                }
            }
            Self::ChannelMultiply => match (shapes[0], shapes[1]) {
                ([channels, _, _], [scales]) if channels == scales => Ok(shapes[0].to_vec()),
                ([channels, _, _], other) => at.refuse("second input", vec![*channels], other),
                (other, _) => at.refuse("image", vec![other[0], 1, 1], other),
            },
            Self::Concat => infer_concat(at, shapes),
            Self::Flatten => Ok(vec![shapes[0].iter().product()]),
            Self::Reshape { shape } => {
                if shape.iter().product::<usize>() == shapes[0].iter().product::<usize>() {
                    Ok(shape.clone())
                } else {
                    at.refuse("reshape", shape.clone(), shapes[0])
                }
            }
            Self::Loss(_) => Ok(vec![1]),
            _ => Ok(shapes[0].to_vec()),
        }
    }

    fn infer_image(&self, at: Inference<'_>, shape: &[usize]) -> Result<Shape, GraphError> {
        let [channels, height, width] = *shape else {
            return at.refuse("image", vec![1, 1, shape.iter().product()], shape);
        };
        match self {
            Self::Conv2d { outputs, kernel, stride, padding, groups, .. } => {
                if !channels.is_multiple_of(*groups) || !outputs.is_multiple_of(*groups) {
                    return at.refuse(
                        "channels of whole groups",
                        vec![*groups, height, width],
                        shape,
                    );
                }
                let pool = Pool { kernel: *kernel, stride: *stride, padding: *padding };
                let [height, width] = at.windows(pool, shape)?;
                Ok(vec![*outputs, height, width])
            }
            Self::MaxPool2d(pool) | Self::AvgPool2d(pool) => {
                let [height, width] = at.windows(*pool, shape)?;
                Ok(vec![channels, height, width])
            }
            Self::PatchEmbed { outputs, patch } => {
                if !height.is_multiple_of(*patch) || !width.is_multiple_of(*patch) {
                    let whole = |side: usize| side.next_multiple_of(*patch);
                    let expected = vec![channels, whole(height), whole(width)];
                    return at.refuse("image of whole patches", expected, shape);
                }
                Ok(vec![height / patch * (width / patch), *outputs])
            }
            Self::GroupNorm { groups, .. } if !channels.is_multiple_of(*groups) => {
                at.refuse("channels of whole groups", vec![*groups, height, width], shape)
            }
            Self::GlobalAvgPool => Ok(vec![channels]),
            _ => Ok(shape.to_vec()),
        }
    }

    fn check_arity(&self, node: &str, found: usize) -> Result<(), GraphError> {
        let expected = match self {
            Self::Input { .. } => 0,
            Self::Add
            | Self::Multiply
            | Self::ChannelMultiply
            | Self::Residual { .. }
            | Self::Blend { .. } => 2,
            Self::Concat => found.clamp(2, CONCAT_MAX),
            _ => 1,
        };
        if found != expected {
            return Err(GraphError::Arity { node: node.to_owned(), expected, found });
        }
        Ok(())
    }

    fn check_settings(&self, node: &str) -> Result<(), GraphError> {
        let refuse = |what| Err(GraphError::Setting { node: node.to_owned(), what });
        let is_eps = |eps: f32| 0.0 < eps && eps.is_finite();
        match self {
            Self::Dropout { p } if !(0.0..1.0).contains(p) => refuse("dropout's p is in [0, 1)"),
            Self::Conv2d { kernel, stride, groups, .. }
                if kernel.contains(&0) || stride.contains(&0) || *groups == 0 =>
            {
                refuse("kernel, stride and groups are at least 1")
            }
            Self::MaxPool2d(pool) | Self::AvgPool2d(pool)
                if pool.kernel.contains(&0)
                    || pool.stride.contains(&0)
                    || (0..2).any(|axis| pool.kernel[axis] < 2 * pool.padding[axis]) =>
            {
                refuse("kernel and stride are at least 1, padding at most half of the kernel")
            }
            Self::PatchEmbed { patch: 0, .. } => refuse("a patch has a side of at least 1"),
            Self::Attention { heads: 0, .. } | Self::GroupNorm { groups: 0, .. } => {
                refuse("there is at least one head or group")
            }
            Self::Embedding { vocabulary, .. } if *vocabulary == 0 || TOKENS_MAX < *vocabulary => {
                refuse("a vocabulary has 1 to 16,777,216 tokens")
            }
            Self::LayerNorm { eps, .. }
            | Self::RmsNorm { eps, .. }
            | Self::GroupNorm { eps, .. }
            | Self::BatchNorm { eps, .. }
                if !is_eps(*eps) =>
            {
                refuse("eps is finite and above 0")
            }
            Self::BatchNorm { momentum, .. } if !(0.0..=1.0).contains(momentum) => {
                refuse("momentum is in [0, 1]")
            }
            Self::Residual { alpha } | Self::Blend { alpha } if !(0.0..=1.0).contains(alpha) => {
                refuse("alpha is in [0, 1]")
            }
            _ => Ok(()),
        }
    }
}

/// Tokens that `f32`, in which examples lie, tells apart.
const TOKENS_MAX: usize = 1 << 24;

#[derive(Clone, Copy)]
struct Inference<'a> {
    node: &'a str,
}

impl Inference<'_> {
    fn refuse<T>(
        self,
        what: &'static str,
        expected: Shape,
        found: &[usize],
    ) -> Result<T, GraphError> {
        Err(GraphError::Shape { node: self.node.to_owned(), what, expected, found: found.to_vec() })
    }

    /// Height and width of what windows over an image give.
    fn windows(self, pool: Pool, shape: &[usize]) -> Result<[usize; 2], GraphError> {
        let mut out = [0; 2];
        for axis in 0..2 {
            let padded = shape[axis + 1] + 2 * pool.padding[axis];
            if padded < pool.kernel[axis] {
                let expected = vec![shape[0], pool.kernel[0], pool.kernel[1]];
                return self.refuse("image at least as large as the kernel", expected, shape);
            }
            out[axis] = (padded - pool.kernel[axis]) / pool.stride[axis] + 1;
        }
        Ok(out)
    }
}

fn infer_concat(at: Inference<'_>, shapes: &[&[usize]]) -> Result<Shape, GraphError> {
    let axis = if shapes[0].len() == 2 { 1 } else { 0 };
    let mut shape = shapes[0].to_vec();
    for other in &shapes[1..] {
        let mut like = other.to_vec();
        if like.len() != shape.len() {
            return at.refuse("another input", shape, other);
        }
        like[axis] = shape[axis];
        if like != shape {
            let mut expected = shape;
            expected[axis] = other[axis];
            return at.refuse("another input", expected, other);
        }
        shape[axis] += features(other).width;
    }
    Ok(shape)
}
