//! The `esper` command.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = PathBuf::from(std::env::args().nth(1).expect("a scenario"));
    let text = std::fs::read_to_string(&path)?;
    let overrides: Vec<_> = std::env::args()
        .skip(2)
        .map(|text| esper::engine::scenario::Override::parse(&text))
        .collect::<Result<_, _>>()?;
    let name = path.to_string_lossy();
    let scenario = esper::engine::scenario::parse(&text, &name, &overrides)?;
    let mut run =
        esper::RunBuilder::new(scenario).progress(esper::prelude::ProgressMode::Plain).build()?;
    run.finish()?;
    Ok(())
}
