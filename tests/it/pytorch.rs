//! What PyTorch says of a network with given weights, Esper says: logits, losses, the course of training, names.
//!
//! The files in `tests/data` were written by PyTorch; `make.py` there says how.

use std::{path::PathBuf, sync::Arc};

use esper::{
    data::{Augment, DeviceData, ExampleNames, Features, Scaling, Targets, Windows},
    engine::runtime::{HostConfig, StateDict, learning_rate},
    nn::{
        device::Cpu,
        graph::{CnnConfig, CnnForm, ImageNorm, Loss, MlpConfig, TransformerConfig, VitConfig},
        program::{CompileOptions, Program},
    },
    prelude::*,
    scenario::{Adam, Course, Optimizer, Schedule, Sgd, Train},
    systems::tolaria::host_config,
};
use esper_nn::session::Session;
use safetensors::{Dtype, SafeTensors};

/// Steps that PyTorch took.
const STEPS: usize = 20;
/// Examples of each batch.
const ROWS: usize = 8;

fn path_of(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    folder.join(format!("{name}.safetensors"))
}

fn bytes_of(name: &str) -> Vec<u8> {
    std::fs::read(path_of(name)).expect("tests/data has it")
}

/// The models of `make.py`.
const MODELS: [&str; 6] = ["mlp", "cnn", "vgg", "transformer", "transformer_tied", "vit"];

fn graph_of(model: &str) -> NetworkGraph {
    let mlp = MlpConfig { layers: vec![20, 16, 16, 3], ..MlpConfig::default() };
    let cnn = CnnConfig {
        input: [3, 8, 8],
        n_outputs: 3,
        channels: vec![4, 8],
        blocks: vec![1, 1],
        ..CnnConfig::default()
    };
    let vgg = CnnConfig {
        input: [2, 8, 8],
        form: CnnForm::Vgg,
        norm: ImageNorm::Group { groups: 2 },
        activation: Activation::GeluTanh,
        ..cnn.clone()
    };
    let transformer = |tied| TransformerConfig {
        vocabulary: 11,
        context: 12,
        layers: 2,
        width: 16,
        heads: 2,
        mlp_width: 32,
        tied,
        ..TransformerConfig::default()
    };
    let vit = VitConfig {
        input: [3, 8, 8],
        n_outputs: 3,
        patch: 4,
        layers: 2,
        width: 16,
        heads: 2,
        mlp_width: 32,
        ..VitConfig::default()
    };
    let loss = Loss::CrossEntropy;
    let graph = match model {
        "mlp" => NetworkGraph::mlp(&mlp, loss),
        "cnn" => NetworkGraph::cnn(&cnn, loss),
        "vgg" => NetworkGraph::cnn(&vgg, loss),
        "vit" => NetworkGraph::vit(&vit, loss),
        "transformer" => NetworkGraph::transformer(&transformer(false)),
        _ => NetworkGraph::transformer(&transformer(true)),
    };
    graph.expect("a sound host")
}

/// What PyTorch said of a model: batches, logits, losses.
struct Record(Vec<u8>);

impl Record {
    fn read(name: &str) -> Self {
        Self(bytes_of(name))
    }

    fn floats(&self, name: &str) -> Vec<f64> {
        let file = SafeTensors::deserialize(&self.0).expect("a safetensors file");
        let view = file.tensor(name).expect("it is recorded");
        let data = view.data();
        match view.dtype() {
            Dtype::F64 => data.as_chunks().0.iter().map(|it| f64::from_le_bytes(*it)).collect(),
            Dtype::F32 => {
                data.as_chunks().0.iter().map(|it| f32::from_le_bytes(*it).into()).collect()
            }
            Dtype::I64 => {
                data.as_chunks().0.iter().map(|it| i64::from_le_bytes(*it) as f64).collect()
            }
            other => panic!("{name} is {other:?}"),
        }
    }

    /// The batches, each a data set of its own.
    fn batches(&self, shape: &[usize]) -> Vec<Dataset> {
        let (x, labels) = (self.floats("x"), self.floats("labels"));
        let elems = ROWS * shape.iter().product::<usize>();
        let n_labels = labels.len() * elems / x.len();
        x.chunks_exact(elems)
            .zip(labels.chunks_exact(n_labels))
            .map(|(x, labels)| match shape {
                // Each batch of text is one run of tokens; the last label ends it.
                [context] if ROWS < n_labels => {
                    let tokens = x.iter().chain(labels.last()).map(|it| *it as u32);
                    let windows = Windows::new(tokens.collect::<Vec<u32>>(), *context, 11);
                    Dataset::of_windows(windows.expect("sound tokens"))
                }
                _ => {
                    let x: Vec<f32> = x.iter().map(|it| *it as f32).collect();
                    let labels = labels.iter().map(|it| *it as u32).collect();
                    let targets = Targets::Classes { labels, n_classes: 3 };
                    Dataset::new(x, shape.to_vec(), targets).expect("sound examples")
                }
            })
            .collect()
    }
}

/// A host of `model` with the weights of the file `weights`, and the configuration to train it on each batch: an epoch
/// is one step.
fn host_of(
    model: &str,
    weights: &str,
    optimizer: Optimizer,
) -> (HostRuntime, Vec<Arc<HostConfig>>) {
    host_with(model, weights, Train { optimizer, ..Train::default() })
}

fn host_with(model: &str, weights: &str, train: Train) -> (HostRuntime, Vec<Arc<HostConfig>>) {
    let graph = Arc::new(graph_of(model));
    let program = Arc::new(Program::compile(&graph, CompileOptions::HOST).expect("it compiles"));
    let mut scenario = scenario::defaults();
    scenario[RUN].epochs = STEPS as u64;
    scenario[DATA].batch = ROWS;
    scenario[GOVERNOR].enabled = false;
    scenario[TRAIN] = train;
    let record = Record::read(&format!("{model}_record"));
    let config = |batch: Dataset| {
        let data = SplitData {
            validation: batch.clone(),
            test: batch.clone(),
            train: batch,
            names: ExampleNames::default(),
            scaling: Scaling::identity(),
            augment: Augment::default(),
            digest: [0; 32],
        };
        let (data, device) = (Arc::new(data), Arc::new(Cpu));
        let on_device = Arc::new(DeviceData::new(&data, &*device).expect("there is room"));
        Arc::new(host_config(&scenario, (0, 0), data, device, on_device))
    };
    let batches = record.batches(&program.input_shape);
    let configs: Vec<Arc<HostConfig>> = batches.into_iter().map(config).collect();
    let mut host = HostRuntime::new(configs[0].clone(), graph, program).expect("there is room");
    let weights = StateDict::read(&path_of(weights)).expect("PyTorch wrote it");
    host.load_state_dict(&weights).expect("its names are ours");
    (host, configs)
}

/// Takes the steps that PyTorch took, and returns the loss of each.
fn train(host: &mut HostRuntime, configs: &[Arc<HostConfig>]) -> Vec<f64> {
    (0..STEPS)
        .map(|step| {
            host.config = configs[step % configs.len()].clone();
            host.step().expect("no fault");
            host.state.epoch_loss_sum / host.state.epoch_examples as f64
        })
        .collect()
}

/// The logits of the first batch, in evaluation.
fn logits(host: &HostRuntime) -> Vec<f64> {
    let program = host.program();
    let examples = &host.config.data.train;
    let mut x = vec![0.0; ROWS * examples.elems()];
    match &examples.features {
        Features::Dense(values) => x.copy_from_slice(values),
        Features::Windows(windows) => {
            x.iter_mut().zip(windows.tokens()).for_each(|(x, token)| *x = f32::from_bits(*token));
        }
    }
    let [params, buffers] = host.weights();
    let sgd = Optimizer::Sgd(Sgd::default());
    let mut session = Session::new(Arc::new(Cpu), program.clone(), &params, ROWS, sgd).unwrap();
    session.set_buffers(&buffers);
    session.infer(x.as_slice()).unwrap().into_iter().map(f64::from).collect()
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (place, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance, "{what}[{place}]: {a}, PyTorch has {b}");
    }
}

/// The rule that `make.py` trains every model with.
fn sgd() -> Optimizer {
    Optimizer::Sgd(Sgd { lr: 0.1, momentum: 0.9, weight_decay: 1e-4, ..Sgd::default() })
}

#[test]
fn weights_that_pytorch_wrote_give_pytorchs_logits() {
    for model in MODELS {
        let record = Record::read(&format!("{model}_record"));
        let (host, _) = host_of(model, model, sgd());
        assert_close(&logits(&host), &record.floats("logits"), 1e-5, model);
        let (host, _) = host_of(model, &format!("{model}_trained"), sgd());
        assert_close(&logits(&host), &record.floats("logits_trained"), 1e-5, model);
    }
}

#[test]
fn twenty_steps_of_sgd_are_pytorchs() {
    for model in MODELS {
        let record = Record::read(&format!("{model}_record"));
        let (mut host, configs) = host_of(model, model, sgd());
        let losses = train(&mut host, &configs);
        assert_close(&losses, &record.floats("losses"), 1e-4, model);
        let trained = StateDict::read(&path_of(&format!("{model}_trained"))).expect("it is there");
        let found = host.state_dict();
        for (name, tensor) in trained.iter() {
            let widen = |values: &[f32]| values.iter().map(|it| f64::from(*it)).collect::<Vec<_>>();
            let ours = &found.get(name).expect("names are the same").values;
            assert_close(&widen(ours), &widen(&tensor.values), 1e-4, &format!("{model} {name}"));
        }
        assert!(losses[STEPS - 1] < losses[0], "{model} learnt");
    }
}

#[test]
fn every_optimizer_follows_pytorchs_formula_and_defaults() {
    let plain = Sgd { lr: 0.1, ..Sgd::default() };
    let adam = Adam { lr: 1e-2, weight_decay: 1e-1, ..Adam::default() };
    let default_of = |kind: &str| {
        let text = format!(
            "run = {{ epochs = 1 }}\ndata = {{ source = \"digits\" }}\nhost = {{ layers = [64, 8, 10] }}\n\
             train = {{ optimizer = {{ kind = \"{kind}\" }} }}\n"
        );
        scenario::parse(&text, "defaults.toml", &[]).expect("a sound scenario")[TRAIN]
            .optimizer
            .clone()
    };
    let rows = [
        ("sgd", Optimizer::Sgd(plain.clone()), None),
        (
            "nesterov",
            Optimizer::Sgd(Sgd {
                momentum: 0.9,
                nesterov: true,
                weight_decay: 1e-2,
                ..plain.clone()
            }),
            None,
        ),
        ("dampened", Optimizer::Sgd(Sgd { momentum: 0.9, dampening: 0.5, ..plain.clone() }), None),
        ("clipped", Optimizer::Sgd(plain), Some(0.1)),
        ("adam", Optimizer::Adam(adam.clone()), None),
        ("adamw", Optimizer::AdamW(adam), None),
        ("default_sgd", default_of("sgd"), None),
        ("default_adam", default_of("adam"), None),
        ("default_adamw", default_of("adamw"), None),
    ];
    let record = Record::read("mlp_record");
    for (name, optimizer, clip_norm) in rows {
        let train_rule = Train { optimizer, clip_norm, average_share: 0.0, ..Train::default() };
        let (mut host, configs) = host_with("mlp", "mlp", train_rule);
        let losses = train(&mut host, &configs);
        assert_close(&losses, &record.floats(&format!("losses_{name}")), 1e-5, name);
    }
}

#[test]
fn every_schedule_follows_pytorchs() {
    let record = Record::read("rates");
    let step = Course::Step { step_epochs: 3.0, gamma: 0.5 };
    let cosine = Course::Cosine { min_lr: 1e-3 };
    for (name, course) in [("constant", Course::Constant), ("step", step), ("cosine", cosine)] {
        for (prefix, warmup_epochs) in [("", 0.0), ("warmup_", 2.0)] {
            let schedule = Schedule { course: course.clone(), warmup_epochs };
            let rates: Vec<f64> =
                (0..40).map(|step| learning_rate(0.1, &schedule, step, 5, 40)).collect();
            let name = format!("{prefix}{name}");
            // PyTorch multiplies from rate to rate, and so rounds once a step.
            assert_close(&rates, &record.floats(&name), 1e-15, &name);
        }
    }
}

#[test]
fn an_export_has_the_names_shapes_and_bits_of_what_pytorch_wrote() {
    for model in MODELS {
        for file in [model.to_owned(), format!("{model}_trained")] {
            let (host, _) = host_of(model, &file, sgd());
            let (ours, theirs) = (host.state_dict().to_bytes(), bytes_of(&file));
            let ours = SafeTensors::deserialize(&ours).expect("a safetensors file");
            let theirs = SafeTensors::deserialize(&theirs).expect("a safetensors file");
            assert_eq!(ours.len(), theirs.len(), "{file}");
            for (name, expected) in theirs.iter() {
                let found = ours.tensor(name).expect("no name is lost");
                assert_eq!(found, expected, "{file}: {name}");
            }
        }
    }
}

#[test]
fn weights_of_another_network_are_refused_and_change_nothing() {
    let (mut host, _) = host_of("mlp", "mlp", sgd());
    let before = host.state_dict();
    for other in ["cnn", "transformer", "vit"] {
        let weights = StateDict::read(&path_of(other)).expect("PyTorch wrote it");
        let text = host.load_state_dict(&weights).expect_err("another network's").to_string();
        for words in ["missing: `layers.0.weight` [16, 20]", "not in the host: `", "and "] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert_eq!(host.state_dict(), before, "{other}");
    }
}

#[test]
fn the_table_of_ops_is_complete() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/PYTORCH.md")).unwrap();
    let (_, table) = text.split_once("## Ops").expect("PYTORCH.md has a table of ops");
    for (word, torch) in Op::IN_PYTORCH {
        let row = format!("| `{word}` | {torch} |");
        assert!(table.contains(&row), "PYTORCH.md lacks: {row}");
    }
}
