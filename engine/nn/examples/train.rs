//! A network trained with this crate alone: which of four quadrants a point lies in.

use std::{error::Error, sync::Arc};

use esper_nn::{
    device::{Cpu, Examples},
    graph::{Loss, MlpConfig, NetworkGraph},
    optim::{Adam, Optimizer},
    program::{CompileOptions, Program},
    rng::Purpose,
    session::Session,
};

/// The mean loss before and after.
fn train() -> Result<[f64; 2], Box<dyn Error>> {
    let points: Vec<f32> = (0..512).map(|at| (at as f32 * 2.4).sin()).collect();
    let labels: Vec<u32> = points.chunks(2).map(quadrant).collect();
    let all: Vec<u32> = (0..labels.len() as u32).collect();
    let layers = vec![2, 16, 4];
    let graph = NetworkGraph::mlp(&MlpConfig { layers, ..Default::default() }, Loss::CrossEntropy)?;
    let program = Arc::new(Program::compile(&graph, CompileOptions::HOST)?);
    let params = program.draw_params(0, Purpose::HostInit, 0);
    let adam = Optimizer::Adam(Adam::default());
    let mut session = Session::new(Arc::new(Cpu), program, &params, all.len(), adam)?;
    let examples = Examples::classes(&Cpu, points.into(), labels.into())?;
    let before = session.evaluate(&examples, &all)?.loss_sum / all.len() as f64;
    for _epoch in 0..50 {
        for batch in all.chunks(32) {
            session.train(&examples, batch, 1e-2)?;
        }
    }
    let after = session.evaluate(&examples, &all)?.loss_sum / all.len() as f64;
    Ok([before, after])
}

fn quadrant(point: &[f32]) -> u32 {
    u32::from(point[0] > 0.0) + 2 * u32::from(point[1] > 0.0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let [before, after] = train()?;
    println!("loss {before:.3} before, {after:.3} after");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_learns() {
        let [before, after] = train().unwrap();
        assert!(before > 1.0 && after < 0.2, "{before} {after}");
    }
}
