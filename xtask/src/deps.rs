//! `cargo xtask deps`: whether crates depend on each other only as the layers allow.
//!
//! The layers are those of `docs/architecture.md`. What a crate may reach is
//! everything that it uses, directly or not, on any platform and with any
//! feature, except for its own tests.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Error;
use crate::layout::Layout;
use crate::metadata::{self, Metadata};
use crate::progress;

/// What one crate of the workspace may and must not reach.
struct Layer {
    name: &'static str,
    /// Crates of this workspace; all others are forbidden.
    ours: &'static [&'static str],
    /// Crates of others that are forbidden.
    never: &'static [&'static str],
}

/// From the lowest to the highest. Each crate of the workspace has its line.
const LAYERS: [Layer; 15] = [
    Layer {
        name: "engine-core",
        ours: &[],
        never: &["tokio", "reqwest", "mlx-rs", "minijinja", "tokenizers"],
    },
    Layer {
        name: "model-arch",
        ours: &[],
        never: &["tokio", "mlx-rs", "tokenizers"],
    },
    Layer {
        name: "model-files",
        ours: &[],
        never: &["tokio", "reqwest", "mlx-rs", "tokenizers"],
    },
    Layer {
        name: "hub-client",
        ours: &[],
        never: &["mlx-rs", "tokenizers"],
    },
    Layer {
        name: "registry",
        ours: &["engine-core", "model-arch"],
        never: &["tokio", "reqwest", "mlx-rs", "tokenizers"],
    },
    Layer {
        name: "downloader",
        ours: &[],
        never: &["mlx-rs", "tokenizers", "hf-hub"],
    },
    Layer {
        name: "hub-fault-server",
        ours: &[],
        never: &["reqwest", "mlx-rs", "tokenizers"],
    },
    Layer {
        name: "engine-conformance",
        ours: &["engine-core"],
        never: &["mlx-rs"],
    },
    Layer {
        name: "engine-runtime",
        ours: &["engine-core"],
        never: &["reqwest", "mlx-rs"],
    },
    Layer {
        name: "engine-mock",
        ours: &["engine-core", "engine-runtime"],
        never: &["mlx-rs"],
    },
    Layer {
        name: "engine-mlx",
        ours: &["engine-core", "engine-runtime", "model-arch", "model-files"],
        never: &["tokio", "reqwest"],
    },
    Layer {
        name: "engine-cpu",
        ours: &["engine-core", "engine-runtime", "model-arch", "model-files"],
        never: &["tokio", "reqwest", "mlx-rs", "mlx-sys"],
    },
    Layer {
        name: "mlxengine",
        ours: &[
            "downloader",
            "engine-core",
            "engine-cpu",
            "engine-mlx",
            "engine-mock",
            "engine-runtime",
            "hub-client",
            "model-arch",
            "model-files",
            "registry",
        ],
        never: &[],
    },
    Layer {
        name: "mlxengine-cli",
        ours: &[
            "downloader",
            "engine-core",
            "engine-cpu",
            "engine-mlx",
            "engine-mock",
            "engine-runtime",
            "hub-client",
            "mlxengine",
            "model-arch",
            "model-files",
            "registry",
        ],
        never: &[],
    },
    // It has to build before there is an MLX.
    Layer {
        name: "xtask",
        ours: &["model-files"],
        never: &["mlx-rs"],
    },
];

/// Crates that only one crate of the workspace may name as its dependency, be it for tests.
const OWNED: [(&str, &str); 2] = [("mlx-rs", "engine-mlx"), ("mlx-sys", "engine-mlx")];

/// Runs the command.
pub(crate) fn run(layout: &Layout) -> Result<(), Error> {
    let graph = Graph::of(&metadata::read(layout.root())?);
    let complaints = check(&graph, &LAYERS);
    progress::report("All dependencies follow the layers.", &complaints)
}

/// Who depends on whom, by name.
#[derive(Debug, Default)]
struct Graph {
    members: BTreeSet<String>,
    /// What is part of the product.
    uses: BTreeMap<String, BTreeSet<String>>,
    /// The same with the dependencies of tests.
    names: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn of(metadata: &Metadata) -> Self {
        let name_of: BTreeMap<&str, &str> = metadata
            .packages
            .iter()
            .map(|p| (p.id.as_str(), p.name.as_str()))
            .collect();
        let name = |id: &str| (*name_of.get(id).unwrap_or(&id)).to_owned();
        let mut graph = Self {
            members: metadata
                .workspace_members
                .iter()
                .map(|id| name(id))
                .collect(),
            ..Self::default()
        };
        // Several versions of one crate count as one.
        for node in &metadata.resolve.nodes {
            let uses = graph.uses.entry(name(&node.id)).or_default();
            let in_product = node.deps.iter().filter(|d| d.is_in_the_product());
            uses.extend(in_product.map(|d| name(&d.id)));
            let names = graph.names.entry(name(&node.id)).or_default();
            names.extend(node.deps.iter().map(|d| name(&d.id)));
        }
        graph
    }

    /// Everything that `from` reaches, each with the way there.
    fn reached(&self, from: &str) -> BTreeMap<String, Vec<String>> {
        let mut reached = BTreeMap::new();
        let mut ways = vec![vec![from.to_owned()]];
        while let Some(way) = ways.pop() {
            let last = way.last().map_or(from, String::as_str);
            for next in self.uses.get(last).into_iter().flatten() {
                if !reached.contains_key(next) {
                    let longer: Vec<_> = way.iter().chain([next]).cloned().collect();
                    reached.insert(next.clone(), longer.clone());
                    ways.push(longer);
                }
            }
        }
        reached
    }
}

fn check(graph: &Graph, layers: &[Layer]) -> Vec<String> {
    let mut complaints = Vec::new();
    for member in &graph.members {
        if !layers.iter().any(|layer| layer.name == member) {
            complaints.push(format!(
                "{member} has no place among the layers; give it one in xtask/src/deps.rs and docs/architecture.md"
            ));
        }
    }
    for layer in layers {
        if !graph.members.contains(layer.name) {
            complaints.push(format!(
                "xtask/src/deps.rs has a layer for {}, which is not in the workspace",
                layer.name
            ));
        }
        for (name, way) in graph.reached(layer.name) {
            let ours = graph.members.contains(&name) && !layer.ours.contains(&name.as_str());
            if ours || layer.never.contains(&name.as_str()) {
                complaints.push(format!(
                    "{} must not reach {name}, but does: {}",
                    layer.name,
                    way.join(" -> ")
                ));
            }
        }
    }
    for (owned, owner) in OWNED {
        for member in graph.members.iter().filter(|member| *member != owner) {
            if graph.names.get(member).is_some_and(|n| n.contains(owned)) {
                complaints.push(format!(
                    "{member} depends on {owned}, which only {owner} may"
                ));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace of these crates and dependencies, `name: uses uses`.
    fn graph(lines: &[&str]) -> Graph {
        let mut graph = Graph::default();
        for line in lines {
            let (name, uses) = line.split_once(':').unwrap();
            let uses: BTreeSet<_> = uses.split_whitespace().map(str::to_owned).collect();
            graph.members.insert(name.into());
            graph.uses.insert(name.into(), uses.clone());
            graph.names.insert(name.into(), uses);
        }
        graph
    }

    const TWO: [Layer; 2] = [
        Layer {
            name: "low",
            ours: &[],
            never: &["network"],
        },
        Layer {
            name: "high",
            ours: &["low"],
            never: &[],
        },
    ];

    #[test]
    fn arrows_that_point_down_are_fine() {
        let graph = graph(&["low: harmless", "high: low network"]);
        assert_eq!(check(&graph, &TWO), Vec::<String>::new());
    }

    #[test]
    fn an_arrow_that_points_up_is_shown() {
        let complaints = check(&graph(&["low: high", "high:"]), &TWO);
        assert_eq!(
            complaints,
            ["low must not reach high, but does: low -> high"]
        );
    }

    #[test]
    fn a_forbidden_crate_is_found_behind_others_and_the_way_is_shown() {
        let mut graph = graph(&["low: middle", "high:"]);
        graph
            .uses
            .insert("middle".into(), ["network".into()].into());
        let complaints = check(&graph, &TWO);
        assert_eq!(
            complaints,
            ["low must not reach network, but does: low -> middle -> network"]
        );
    }

    #[test]
    fn a_crate_without_a_layer_and_a_layer_without_a_crate_are_found() {
        let complaints = check(&graph(&["low:", "new:"]), &TWO);
        assert_eq!(complaints.len(), 2, "{complaints:?}");
        assert!(
            complaints[0].starts_with("new has no place"),
            "{complaints:?}"
        );
        assert!(complaints[1].contains("layer for high"), "{complaints:?}");
    }

    #[test]
    fn mlx_is_for_one_crate_only_even_in_tests() {
        let mut graph = graph(&["low:", "high:"]);
        graph.names.insert("high".into(), ["mlx-rs".into()].into());
        let complaints = check(&graph, &TWO);
        assert_eq!(
            complaints,
            ["high depends on mlx-rs, which only engine-mlx may"]
        );
    }

    #[test]
    fn dependencies_of_tests_are_not_part_of_the_product() {
        let metadata: Metadata = serde_json::from_str(
            r#"{
                "packages": [
                    {"id": "1", "name": "low", "version": "0.1.0", "manifest_path": "/low/Cargo.toml"},
                    {"id": "2", "name": "high", "version": "0.1.0", "manifest_path": "/high/Cargo.toml"}
                ],
                "workspace_members": ["1", "2"],
                "resolve": {"nodes": [
                    {"id": "1", "deps": [{"pkg": "2", "dep_kinds": [{"kind": "dev"}]}]},
                    {"id": "2", "deps": [{"pkg": "1", "dep_kinds": [{"kind": null}, {"kind": "dev"}]}]}
                ]}
            }"#,
        )
        .unwrap();
        assert_eq!(check(&Graph::of(&metadata), &TWO), Vec::<String>::new());
    }
}
