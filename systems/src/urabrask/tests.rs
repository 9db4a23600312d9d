use std::sync::Arc;

use esper_engine::{
    forge::Job,
    graph::{NetworkGraph, Op},
    nn::op::{Attention, BatchNorm, Dropout, Input, Scale},
    program::{Backward, Forward, Program, Variant},
    world::{
        blueprint::Blueprint,
        ids::{BlueprintId, KernelId},
        kernel::{KernelStatus, SafetySheet},
    },
};
use esper_nn::{contract::Contract, digest::Digest};

use super::{config::UrabraskConfig, validate::PASSED, *};

fn job(graph: NetworkGraph, width: u32) -> ValidateJob {
    job_at(graph, Contract::Vector { width })
}

fn job_at(graph: NetworkGraph, contract: Contract) -> ValidateJob {
    let candidate = |variant: Variant| Candidate {
        id: KernelId(Digest::of(variant.name().as_bytes())),
        variant: variant.name().to_owned(),
        program: Arc::new(variant.compile(&graph).unwrap()),
    };
    ValidateJob {
        blueprint: BlueprintId(Digest::of(b"blueprint")),
        contract,
        candidates: Variant::ALL.map(candidate).to_vec(),
        graph: Arc::new(graph),
        must_grow: true,
        rules: Rules {
            bench_repeats: 3,
            batch: 16,
            ..UrabraskConfig::new(&crate::testing::scenario(|_| {})).rules()
        },
    }
}

/// `f = W2 gelu(W1 x + b1) + b2`, `W2 = 0`.
fn sound(width: usize) -> NetworkGraph {
    let mut graph = NetworkGraph::new();
    let x = graph.add("x", Input { shape: vec![width] }, &[]).unwrap();
    let h = graph.add("hidden", Op::linear(5), &[x]).unwrap();
    let h = graph.add("act", Op::Activation(esper_kernels::cpu::Activation::Gelu), &[h]).unwrap();
    graph.add("out", Op::zero_linear(width), &[h]).unwrap();
    graph
}

/// Rejected, for a reason that says `word`.
fn assert_rejected(job: ValidateJob, word: &str) {
    for verdict in job.run() {
        assert_eq!(verdict.status, KernelStatus::Rejected);
        let reasons = &verdict.sheet.reasons;
        assert!(
            reasons.iter().any(|reason| reason.contains(word)),
            "`{word}` is not in {reasons:?}"
        );
    }
}

/// `job`, the fused program replaced by what `break_it` makes of it.
fn broken(mut job: ValidateJob, break_it: impl FnOnce(&mut Program)) -> ValidateJob {
    let fused = job.candidates.pop().unwrap();
    let mut program = Program::clone(&fused.program);
    break_it(&mut program);
    job.candidates = vec![Candidate { program: Arc::new(program), ..fused }];
    job
}

#[test]
fn a_sound_module_is_validated_with_its_figures() {
    let verdicts = job(sound(8), 8).run();
    assert_eq!(verdicts.len(), 2);
    for verdict in verdicts {
        assert_eq!(verdict.sheet.reasons, [PASSED]);
        assert_eq!(verdict.status, KernelStatus::Validated);
        assert_eq!(verdict.sheet.birth_output, Some(0.0));
        assert_eq!(verdict.sheet.reference_error, Some(0.0));
        assert!(verdict.sheet.gradient_error.is_some_and(|error| error < 1e-4));
        assert!(verdict.sheet.gradient_growth.is_some_and(|growth| 0.0 < growth && growth < 10.0));
        let measured = verdict.measured.expect("it was measured");
        assert!(measured.n_runs == 3 && 0 < measured.forward_ns && measured.batch == 16);
    }
}

#[test]
fn a_job_survives_its_saved_form() {
    let job = job(sound(8), 8);
    let bytes = postcard::to_stdvec(&job).unwrap();
    assert_eq!(postcard::from_bytes::<ValidateJob>(&bytes).unwrap(), job);
}

#[test]
fn a_module_that_does_not_keep_its_sites_shape_is_rejected() {
    assert_rejected(
        job(sound(8), 9),
        "structure: the module maps [8] to [8]; at this site it must keep [9]",
    );
}

#[test]
fn an_instruction_outside_its_memory_is_rejected_before_it_runs() {
    assert_rejected(
        broken(job(sound(8), 8), |program| program.workspace_elems = 3),
        "outside its memory",
    );
    assert_rejected(
        broken(job(sound(8), 8), |program| program.params_len_elems = 3),
        "outside its memory",
    );
}

#[test]
fn a_program_that_computes_something_else_than_its_graph_is_rejected() {
    let wrong_constant = broken(job(scaled(0.5), 4), |program| {
        for step in &mut program.forward {
            if let Forward::Scale(scale) = &mut step.instr {
                scale.factor = 0.25;
            }
        }
    });
    assert_rejected(wrong_constant, "differs from `reference`");
}

#[test]
fn a_wrong_gradient_is_found_by_central_differences() {
    let graph = scaled(0.5);
    let mut program = Variant::Reference.compile(&graph).unwrap();
    assert!(differences::gradient_error(&graph, &program).is_some_and(|error| error < 1e-5));
    for step in &mut program.backward {
        if let Backward::Scale(scale) = &mut step.instr {
            scale.factor = 0.75;
        }
    }
    assert!(differences::gradient_error(&graph, &program).is_some_and(is_wrong));
    let mut sheet = SafetySheet { gradient_error: Some(0.5), ..SafetySheet::default() };
    let reasons = numerics::check(&program, &program, GROWS, &mut sheet);
    assert!(reasons.iter().any(|it| it.contains("central differences")), "{reasons:?}");
}

fn is_wrong(gradient_error: f64) -> bool {
    differences::GRADIENT_TOLERANCE < gradient_error
}

/// What is asked of most modules.
const GROWS: numerics::Asked = numerics::Asked { rows: 8, must_grow: true, is_causal: false };

/// `f = W (factor x)`, `W = 0`.
fn scaled(factor: f32) -> NetworkGraph {
    let mut graph = NetworkGraph::new();
    let x = graph.add("x", Input { shape: vec![4] }, &[]).unwrap();
    let h = graph.add("scale", Scale { factor }, &[x]).unwrap();
    graph.add("out", Op::zero_linear(4), &[h]).unwrap();
    graph
}

#[test]
fn a_module_that_is_no_identity_at_birth_is_rejected_unless_it_is_a_control() {
    let mut graph = NetworkGraph::new();
    let x = graph.add("x", Input { shape: vec![4] }, &[]).unwrap();
    graph.add("out", Op::linear(4), &[x]).unwrap();
    assert_rejected(job(graph.clone(), 4), "no identity at birth");
    let control = ValidateJob { must_grow: false, ..job(graph, 4) };
    assert!(control.run().iter().all(|verdict| verdict.status == KernelStatus::Validated));
}

#[test]
fn each_limit_is_kept() {
    let with = |change: fn(&mut Rules)| {
        let mut job = job(sound(8), 8);
        change(&mut job.rules);
        job
    };
    assert_rejected(with(|rules| rules.memory_max_bytes = 1000), "`memory_max_bytes`");
    assert_rejected(with(|rules| rules.flops_max = 100), "`flops_max`");
    assert_rejected(with(|rules| rules.grad_growth_max = 1e-6), "`grad_growth_max`");
    assert_rejected(
        with(|rules| (rules.latency_max_us, rules.batch) = (0, 4096)),
        "`latency_max_us`",
    );
}

#[test]
fn a_module_with_dropout_is_judged_too() {
    let mut graph = NetworkGraph::new();
    let x = graph.add("x", Input { shape: vec![6] }, &[]).unwrap();
    let h = graph.add("hidden", Op::linear(5), &[x]).unwrap();
    let h = graph.add("drop", Dropout { p: 0.3 }, &[h]).unwrap();
    graph.add("out", Op::zero_linear(6), &[h]).unwrap();
    let blueprint = Blueprint::new("dropout", graph.clone(), "", "").unwrap();
    assert!(!blueprint.is_control());
    assert!(job(graph, 6).run().iter().all(|verdict| verdict.status == KernelStatus::Validated));
}

const SEQUENCE: Contract = Contract::Sequence { len: 5, width: 8, is_causal: true };

/// `f = W2 attention(W1 x + b1) + b2`, `W2 = 0`.
fn attention(is_causal: bool) -> NetworkGraph {
    let mut graph = NetworkGraph::new();
    let x = graph.add("x", Input { shape: SEQUENCE.shape() }, &[]).unwrap();
    let qkv = graph.add("qkv", Op::linear(24), &[x]).unwrap();
    let y = graph.add("attention", Attention { heads: 2, is_causal }, &[qkv]).unwrap();
    graph.add("out", Op::zero_linear(8), &[y]).unwrap();
    graph
}

#[test]
fn a_module_that_looks_ahead_is_rejected_at_causal_sites_alone() {
    assert_rejected(job_at(attention(false), SEQUENCE), "structure: node `attention`");
    let open = Contract::Sequence { len: 5, width: 8, is_causal: false };
    for job in [job_at(attention(true), SEQUENCE), job_at(attention(false), open)] {
        for verdict in job.run() {
            assert_eq!(verdict.sheet.reasons, [PASSED]);
            assert!(verdict.sheet.gradient_error.is_some_and(|error| error < 1e-4));
        }
    }
}

#[test]
fn a_program_that_looks_ahead_is_found_by_running_it_whatever_its_graph_says() {
    let causal = |is_causal| numerics::Asked { is_causal, ..GROWS };
    for (looks_ahead, asked) in [(false, causal(true)), (true, causal(true)), (true, causal(false))]
    {
        let program = Variant::Fused.compile(&attention(!looks_ahead)).unwrap();
        let reasons = numerics::check(&program, &program, asked, &mut SafetySheet::default());
        let is_found = reasons.iter().any(|it| it.contains("positions that come after it"));
        assert_eq!(is_found, looks_ahead && asked.is_causal, "{reasons:?}");
    }
}

#[test]
fn a_module_with_batch_norm_is_judged_too() {
    let contract = Contract::Image { channels: 3, height: 4, width: 5 };
    let mut graph = NetworkGraph::new();
    let x = graph.add("x", Input { shape: contract.shape() }, &[]).unwrap();
    let norm = Op::BatchNorm(BatchNorm { eps: 1e-5, momentum: 0.1, weight: 0.0 });
    graph.add("norm", norm, &[x]).unwrap();
    for verdict in job_at(graph, contract).run() {
        assert_eq!(verdict.sheet.reasons, [PASSED]);
        assert!(verdict.sheet.gradient_error.is_some_and(|error| error < 1e-4));
    }
}

#[test]
fn a_large_module_is_checked_on_fewer_examples_and_in_every_tensor() {
    let contract = Contract::Sequence { len: 64, width: 64, is_causal: false };
    let mut graph = NetworkGraph::new();
    let x = graph.add("x", Input { shape: contract.shape() }, &[]).unwrap();
    let h = graph.add("hidden", Op::linear(256), &[x]).unwrap();
    let h = graph.add("scale", Scale { factor: 0.5 }, &[h]).unwrap();
    graph.add("out", Op::zero_linear(64), &[h]).unwrap();
    let mut program = Variant::Reference.compile(&graph).unwrap();
    assert!(probe::rows_of(&program) < 32);
    assert!(differences::gradient_error(&graph, &program).is_some_and(|error| error < 1e-4));
    for step in &mut program.backward {
        if let Backward::Scale(scale) = &mut step.instr {
            scale.factor = 0.6;
        }
    }
    let error = differences::gradient_error(&graph, &program);
    assert!(error.is_some_and(is_wrong), "{error:?}");
}
