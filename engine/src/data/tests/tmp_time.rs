use super::files::{Folder, classification};
use crate::data::*;
use std::time::Instant;
#[test]
fn tmp_time() {
    let folder = Folder::new();
    for b in 1..=6 {
        let name =
            if b == 6 { "c/test_batch.bin".to_string() } else { format!("c/data_batch_{b}.bin") };
        let mut bytes = Vec::new();
        for i in 0..10_000_u32 {
            bytes.push((i % 10) as u8);
            bytes.extend((0..3072_u32).map(|p| (p.wrapping_mul(i + b) >> 3) as u8));
        }
        folder.write(&name, bytes);
    }
    for standardize in [Standardize::PerChannel, Standardize::PerFeature] {
        let t = Instant::now();
        let data = folder.load(&DataConfig { standardize, ..classification("c") }).unwrap();
        eprintln!("load {standardize:?} {:?}", t.elapsed());
        if standardize == Standardize::PerFeature {
            continue;
        }
        let mut batch = vec![0.0; 64 * 3072];
        let aug = Augment { flip: true, crop_padding: 4, cutout: 16 };
        for (name, a) in [
            ("plain", Augment::default()),
            ("flip+crop+cutout", aug),
            ("crop", Augment { flip: false, cutout: 0, ..aug }),
        ] {
            let mut best = u128::MAX;
            for e in 0..200_u64 {
                let idx: Vec<u32> =
                    (0..64).map(|i| ((i * 577 + e as u32 * 64) % 40_000) as u32).collect();
                let t = Instant::now();
                data.train.gather_features(
                    &idx,
                    Draw { run_seed: 0, stream: 0, epoch: e, is_training: true },
                    &a,
                    &mut batch,
                );
                best = best.min(t.elapsed().as_nanos());
            }
            eprintln!("gather 64 {name} {} us", best as f64 / 1e3);
        }
    }
    let data = load(&classification("hamlet"), std::path::Path::new(".")).unwrap();
    let (mut x, mut y) = (vec![0.0; 16 * 128], vec![0; 16 * 128]);
    let mut best = u128::MAX;
    for e in 0..200_u64 {
        let idx: Vec<u32> = (0..16).map(|i| (i * 57 + e as u32) % 1200).collect();
        let d = Draw { run_seed: 0, stream: 0, epoch: e, is_training: true };
        let t = Instant::now();
        data.train.gather_features(&idx, d, &Augment::default(), &mut x);
        data.train.gather_labels(&idx, d, &mut y);
        best = best.min(t.elapsed().as_nanos());
    }
    eprintln!("gather hamlet 16x128 + labels {} us", best as f64 / 1e3);
    let t = Instant::now();
    load(&classification("hamlet"), std::path::Path::new(".")).unwrap();
    eprintln!("load hamlet {:?}", t.elapsed());
}
