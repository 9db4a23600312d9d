//! Random fills.

use super::{LENGTHS, assert_close, bits, on_every_unit};
use esper_kernels::cpu::{fill_normal, fill_uniform};
use esper_kernels::oracle;
use esper_kernels::philox::{Philox, uniform_f32};

#[test]
fn uniform_fills_are_words_of_philox_in_the_stated_layout() {
    let (key, stream) = (0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210);
    for len in LENGTHS {
        let found = on_every_unit(|| {
            let mut out = vec![f32::NAN; len];
            fill_uniform(key, stream, 0.0, 1.0, &mut out);
            out
        });
        let want: Vec<f32> = (0..len)
            .map(|at| {
                let counter =
                    [(16 * (at / 64) + at % 16) as u32, 0, stream as u32, (stream >> 32) as u32];
                uniform_f32(Philox::new(key).block(counter)[at / 16 % 4])
            })
            .collect();
        assert_eq!(bits(&found), bits(&want));
        assert_eq!(bits(&found), bits(&oracle::uniform(key, stream, 0.0, 1.0, len)));
    }
}

#[test]
fn fills_of_other_bounds_and_moments_agree_with_the_oracle() {
    for len in LENGTHS {
        let fill = |fill: fn(u64, u64, f32, f32, &mut [f32]), a, b| {
            on_every_unit(|| {
                let mut out = vec![f32::NAN; len];
                fill(9, 1 << 40, a, b, &mut out);
                out
            })
        };
        let want = oracle::uniform(9, 1 << 40, -0.7, 2.1, len);
        assert_eq!(bits(&fill(fill_uniform, -0.7, 2.1)), bits(&want));
        let want = oracle::normal::<f64>(9, 1 << 40, 0.5, 3.0, len);
        assert_close(&fill(fill_normal, 0.5, 3.0), &want, 5e-6);
    }
}

#[test]
fn a_shorter_fill_is_the_start_of_a_longer_one() {
    for fill in [fill_uniform, fill_normal] {
        let (mut short, mut long) = ([0.0; 77], [0.0; 300]);
        fill(1, 2, 0.0, 1.0, &mut short);
        fill(1, 2, 0.0, 1.0, &mut long);
        assert_eq!(short, long[..77]);
    }
}

#[test]
fn streams_and_keys_differ() {
    let draw = |key, stream| {
        let mut out = vec![0.0; 64];
        fill_uniform(key, stream, 0.0, 1.0, &mut out);
        out
    };
    let all = [draw(1, 1), draw(1, 2), draw(2, 1), draw(1, 1 << 32), draw(1 << 32, 1)];
    for (at, a) in all.iter().enumerate() {
        assert!(all[..at].iter().all(|b| a.iter().zip(b).filter(|(a, b)| a == b).count() < 8));
    }
}

#[test]
fn normal_fills_have_normal_moments() {
    let out = on_every_unit(|| {
        let mut out = vec![f32::NAN; 1 << 16];
        fill_normal(5, 6, 0.0, 1.0, &mut out);
        out
    });
    let moment =
        |power: i32| out.iter().map(|x| f64::from(*x).powi(power)).sum::<f64>() / out.len() as f64;
    // Six standard errors of the first four moments of 65,536 normal numbers.
    let bounds = [(1, 0.0, 0.024), (2, 1.0, 0.034), (3, 0.0, 0.091), (4, 3.0, 0.23)];
    for (power, want, bound) in bounds {
        assert!((moment(power) - want).abs() < bound, "moment {power}: {}", moment(power));
    }
    let neighbours: f64 =
        out.windows(2).map(|pair| f64::from(pair[0] * pair[1])).sum::<f64>() / out.len() as f64;
    assert!(neighbours.abs() < 0.024, "neighbours correlate: {neighbours}");
}

#[test]
fn normal_fills_take_mean_and_deviation() {
    let mut out = vec![0.0; 4096];
    fill_normal(5, 6, 3.0, 0.0, &mut out);
    assert!(out.iter().all(|x| *x == 3.0));
}
