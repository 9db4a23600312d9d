//! A graph as TOML.

use super::super::NetworkGraph;
use crate::{
    op::Op,
    settings::{Keys, Setting},
};

/// Every node in topological order, settings at their defaults left out.
pub(super) fn text(graph: &NetworkGraph) -> String {
    let mut writer = Writer { text: String::new() };
    for (index, node) in graph.nodes() {
        if !writer.text.is_empty() {
            writer.text.push('\n');
        }
        writer.text.push_str("[[nodes]]\n");
        writer.line("name", &node.name.write());
        writer.line("op", &node.op.word().to_owned().write());
        if !matches!(node.op, Op::Input(_)) {
            let inputs = graph.inputs(index).into_iter();
            let names: Vec<String> = inputs.map(|input| graph.node(input).name.clone()).collect();
            writer.line("inputs", &names.write());
        }
        node.op.clone().settings(&mut writer);
    }
    writer.text
}

struct Writer {
    text: String,
}

impl Writer {
    fn line(&mut self, key: &str, value: &str) {
        self.text.push_str(key);
        self.text.push_str(" = ");
        self.text.push_str(value);
        self.text.push('\n');
    }
}

impl Keys for Writer {
    fn required<S: Setting>(&mut self, key: &'static str, setting: &mut S) {
        self.line(key, &setting.write());
    }

    fn optional<S: Setting>(&mut self, key: &'static str, setting: &mut S, default: S) {
        if *setting != default {
            self.line(key, &setting.write());
        }
    }
}
