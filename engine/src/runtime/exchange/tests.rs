use esper_kernels::cpu::Activation;
use proptest::prelude::*;

use super::*;
use crate::{
    graph::{Init, Loss},
    nn::op::{BatchNorm, Embedding, GlobalAvgPool, Input, TiedLinear},
    program::CompileOptions,
};

/// A convolution with a batch norm, and a linear layer.
fn image_host() -> (NetworkGraph, Program) {
    let mut graph = NetworkGraph::new();
    let x = graph.add("x", Input { shape: vec![2, 4, 4] }, &[]).unwrap();
    let x = graph.add("conv1", Op::same_conv2d(3, [3, 3], Init::FanIn), &[x]).unwrap();
    let norm = Op::BatchNorm(BatchNorm { eps: 1e-5, momentum: 0.1, weight: 1.0 });
    let x = graph.add("bn1", norm, &[x]).unwrap();
    let x = graph.add("act", Activation::Relu, &[x]).unwrap();
    let x = graph.add("pool", GlobalAvgPool, &[x]).unwrap();
    let x = graph.add("fc", Op::linear(5), &[x]).unwrap();
    graph.add("loss", Loss::CrossEntropy, &[x]).unwrap();
    let program = Program::compile(&graph, CompileOptions::HOST).unwrap();
    (graph, program)
}

/// An embedding and the head that is tied to it.
fn text_host() -> (NetworkGraph, Program) {
    let mut graph = NetworkGraph::new();
    let x = graph.add("x", Input { shape: vec![6] }, &[]).unwrap();
    let embedding = Op::Embedding(Embedding { vocabulary: 7, width: 4, init: Init::Normal(1.0) });
    let x = graph.add("tok_embed", embedding, &[x]).unwrap();
    let head = Op::TiedLinear(TiedLinear { embedding: "tok_embed".to_owned() });
    let x = graph.add("head", head, &[x]).unwrap();
    graph.add("loss", Loss::CrossEntropy, &[x]).unwrap();
    let program = Program::compile(&graph, CompileOptions::HOST).unwrap();
    (graph, program)
}

/// Weights whose values are all different.
fn numbered((graph, program): &(NetworkGraph, Program)) -> StateDict {
    let count_up = |len: usize| (0..len).map(|i| 1.0 + i as f32).collect::<Vec<f32>>();
    let (params, buffers) =
        (count_up(program.params_len_elems), count_up(program.buffers_len_elems));
    StateDict::of(graph, program, &params, &buffers)
}

fn names(dict: &StateDict) -> Vec<&str> {
    dict.iter().map(|(name, _)| name).collect()
}

#[test]
fn a_state_dict_has_parameters_buffers_and_tied_heads() {
    let image = numbered(&image_host());
    let expected = [
        "bn1.bias",
        "bn1.num_batches_tracked",
        "bn1.running_mean",
        "bn1.running_var",
        "bn1.weight",
        "conv1.bias",
        "conv1.weight",
        "fc.bias",
        "fc.weight",
    ];
    assert_eq!(names(&image), expected);
    assert_eq!(image.get("conv1.weight").unwrap().shape, [3, 2, 3, 3]);
    assert!(image.get("bn1.num_batches_tracked").unwrap().shape.is_empty());
    let text = numbered(&text_host());
    assert_eq!(names(&text), ["head.weight", "tok_embed.weight"]);
    assert_eq!(text.get("head.weight"), text.get("tok_embed.weight"));
}

#[test]
fn a_state_dict_survives_its_file_bit_for_bit() {
    for host in [image_host(), text_host()] {
        let dict = numbered(&host);
        let bytes = dict.to_bytes();
        let back = StateDict::from_bytes(&bytes).unwrap();
        assert_eq!(back, dict);
        assert_eq!(back.to_bytes(), bytes);
        assert_eq!(back.digest(), dict.digest());
        assert_eq!(back.check(&host.0, &host.1), Ok(()));
    }
}

#[test]
fn a_count_of_batches_is_an_integer_in_the_file() {
    let bytes = numbered(&image_host()).to_bytes();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    for (name, view) in file.tensors() {
        let is_count = name == "bn1.num_batches_tracked";
        assert_eq!(view.dtype(), if is_count { Dtype::I64 } else { Dtype::F32 }, "{name}");
    }
}

#[test]
fn all_that_does_not_fit_is_told_at_once() {
    let host = image_host();
    let mut dict = numbered(&host);
    let moved = dict.0.remove("fc.weight").unwrap();
    dict.0.insert("fc1.weight".to_owned(), moved);
    dict.0.remove("bn1.running_var");
    dict.0.get_mut("conv1.bias").unwrap().shape = vec![3, 1];
    let problems = dict.check(&host.0, &host.1).unwrap_err();
    assert_eq!(problems.0.len(), 4);
    let text = problems.to_string();
    for line in [
        "missing: `fc.weight` [5, 3]; the file has `fc1.weight`",
        "missing: `bn1.running_var` [3]",
        "not in the host: `fc1.weight` [5, 3]",
        "`conv1.bias` is [3, 1], the host's is [3]",
    ] {
        assert!(text.lines().any(|it| it.trim().starts_with(line)), "{line}: {text}");
    }
}

#[test]
fn a_count_of_batches_may_be_missing() {
    let host = image_host();
    let mut dict = numbered(&host);
    dict.0.remove("bn1.num_batches_tracked");
    assert_eq!(dict.check(&host.0, &host.1), Ok(()));
}

#[test]
fn a_tied_head_is_its_embedding_or_left_out() {
    let host = text_host();
    let mut dict = numbered(&host);
    dict.0.get_mut("head.weight").unwrap().values[3] += 1.0;
    let text = dict.check(&host.0, &host.1).unwrap_err().to_string();
    assert!(text.contains("`head.weight` is not `tok_embed.weight`"), "{text}");
    dict.0.remove("head.weight");
    assert_eq!(dict.check(&host.0, &host.1), Ok(()));
}

#[test]
fn weights_are_floats_and_finite() {
    let file = |dtype, bytes: &[u8]| {
        let view = TensorView::new(dtype, vec![1], bytes).unwrap();
        safetensors::serialize([("w", view)], None).unwrap()
    };
    let read = |dtype, bytes: &[u8]| StateDict::from_bytes(&file(dtype, bytes));
    assert_eq!(read(Dtype::F64, &0.5_f64.to_le_bytes()).unwrap().get("w").unwrap().values, [0.5]);
    assert_eq!(read(Dtype::F16, &[0x00, 0x3c]).unwrap().get("w").unwrap().values, [1.0]);
    let told = |result: Result<StateDict, ExchangeError>| result.unwrap_err().to_string();
    assert!(told(read(Dtype::I64, &[0; 8])).contains("`w` is I64"));
    assert!(told(read(Dtype::F32, &f32::NAN.to_le_bytes())).contains("not finite"));
    assert!(told(read(Dtype::F64, &1e300_f64.to_le_bytes())).contains("not finite"));
    assert!(told(StateDict::from_bytes(b"PK\x03\x04")).contains("not a safetensors file"));
}

#[test]
fn a_message_is_bounded_whatever_a_file_holds() {
    let host = text_host();
    let mut dict = numbered(&host);
    for i in 0..100 {
        let name = format!("{i}\n{}", "a".repeat(1000));
        dict.0.insert(name, StateTensor { shape: vec![1], values: vec![0.0] });
    }
    let text = dict.check(&host.0, &host.1).unwrap_err().to_string();
    assert!(text.len() < 4000 && text.ends_with("and 80 more"), "{text}");
    assert_eq!(text.lines().count(), 22);
}

proptest! {
    #[test]
    fn damaged_bytes_are_refused_or_read(place in any::<prop::sample::Index>(), bit in 0_u32..8, len in any::<prop::sample::Index>()) {
        let mut bytes = numbered(&text_host()).to_bytes();
        let place = place.index(bytes.len());
        bytes[place] ^= 1_u8 << bit;
        bytes.truncate(len.index(bytes.len() + 1).max(place + 1));
        if let Ok(dict) = StateDict::from_bytes(&bytes) {
            // What can be read is a sound book: it can be written and read again.
            prop_assert_eq!(StateDict::from_bytes(&dict.to_bytes()).unwrap(), dict);
        }
    }
}
