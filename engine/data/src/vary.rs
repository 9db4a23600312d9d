//! The same data changed in a fixed way: some of its classes, its positions moved, noise added.

use std::sync::Arc;

use esper_kernels::cpu::fill_normal;
use esper_nn::rng::{Purpose, stream_key};

use super::{DataConfig, DataFault, Dataset, dataset::Features, targets::Targets};

/// `part`, the one of that number, as `config` varies it: the examples of `classes` alone, each moved along its last axis
/// by `shift` positions, what leaves at the end coming in at the beginning, and with normal noise of standard deviation
/// `noise` in each value. Classes keep their numbers, so that a host's head fits every choice of them.
///
/// # Errors
///
/// Names a class that the data has not, and says when no example is left.
pub(super) fn vary(
    mut part: Dataset,
    config: &DataConfig,
    number: u64,
) -> Result<Dataset, DataFault> {
    if !config.classes.is_empty() {
        part = of_classes(&part, &config.classes)?;
    }
    let width = part.example_shape.last().copied().unwrap_or(1);
    let Features::Dense(features) = &mut part.features else { return Ok(part) };
    if config.shift != 0 {
        let values = Arc::make_mut(features);
        values.chunks_exact_mut(width).for_each(|row| row.rotate_right(config.shift % width));
    }
    if config.noise > 0.0 {
        let key = stream_key(config.split_seed, Purpose::Noise, number);
        let values = Arc::make_mut(features);
        let mut noise = vec![0.0; values.len()];
        fill_normal(key, 0, 0.0, config.noise as f32, &mut noise);
        values.iter_mut().zip(&noise).for_each(|(value, noise)| *value += noise);
    }
    Ok(part)
}

fn of_classes(part: &Dataset, classes: &[u64]) -> Result<Dataset, DataFault> {
    let Targets::Classes { labels, n_classes } = &part.targets else {
        return Err(DataFault::NoClasses);
    };
    if let Some(&class) = classes.iter().find(|class| **class >= *n_classes as u64) {
        return Err(DataFault::UnknownClass { class, n_classes: *n_classes });
    }
    let is_wanted = |label: &u32| classes.contains(&u64::from(*label));
    let indices: Vec<u32> =
        (0..).zip(labels.iter()).filter(|(_, it)| is_wanted(it)).map(|it| it.0).collect();
    if indices.is_empty() {
        return Err(DataFault::NoneOfClasses);
    }
    Ok(part.select(&indices))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{DataConfig, Targets, load};

    #[test]
    fn some_classes_keep_their_numbers_and_their_scaling() {
        let plain = load(&DataConfig::new("digits"), Path::new(".")).unwrap();
        let config = DataConfig { classes: vec![5, 9], ..DataConfig::new("digits") };
        let some = load(&config, Path::new(".")).unwrap();
        let Targets::Classes { labels, n_classes } = &some.train.targets else { panic!("classes") };
        assert_eq!(*n_classes, 10, "a head keeps its width");
        assert!(labels.iter().all(|label| [5, 9].contains(label)));
        let Targets::Classes { labels: all, .. } = &plain.train.targets else { panic!("classes") };
        let first = all.iter().position(|label| [5, 9].contains(label)).unwrap();
        assert_eq!(some.train.example(0), plain.train.example(first as u32), "scaled alike");
        assert_eq!(all.iter().filter(|it| [5, 9].contains(*it)).count(), some.train.len());
        let config = DataConfig { classes: vec![10], ..DataConfig::new("digits") };
        assert!(load(&config, Path::new(".")).unwrap_err().to_string().contains("class 10"));
    }

    #[test]
    fn a_shift_moves_every_example_alike_and_noise_is_the_same_each_time() {
        let plain = load(&DataConfig::new("mnist1d"), Path::new(".")).unwrap();
        let config = DataConfig { shift: 5, ..DataConfig::new("mnist1d") };
        let moved = load(&config, Path::new(".")).unwrap();
        let (before, after) = (plain.test.example(7), moved.test.example(7));
        assert_eq!(after[5..], before[..35]);
        assert_eq!(after[..5], before[35..]);
        let noisy = DataConfig { noise: 0.2, ..DataConfig::new("mnist1d") };
        let [one, two] = [(); 2].map(|()| load(&noisy, Path::new(".")).unwrap());
        assert_eq!(one.test, two.test);
        let differences: Vec<f64> = (0..plain.test.len() as u32)
            .flat_map(|row| plain.test.example(row).iter().zip(one.test.example(row)))
            .map(|(a, b)| f64::from(b - a))
            .collect();
        let n = differences.len() as f64;
        let sd = (differences.iter().map(|it| it * it).sum::<f64>() / n).sqrt();
        assert!((sd - 0.2).abs() < 0.002, "{sd}");
    }
}
