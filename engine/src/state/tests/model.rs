//! The store against a map, under random checkpoints on both ways, reopening and compaction.

use std::collections::HashSet;

use levada_testing::Dice;

use super::*;

#[test]
fn equals_a_map() {
    for seed in 1..=12 {
        println!("seed {seed}");
        run(seed);
    }
}

fn run(seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = StateStore::open(dir.path()).unwrap();
    let mut workload = Workload::new(seed);
    let mut choice = Dice::new(seed.wrapping_mul(31));
    for epoch in 1..=30 {
        commit(&store, workload.step(), choice.below(2) == 0);
        assert_eq!(Model::of(&store, workload.operators), workload.model, "seed {seed}, epoch {epoch}");
        match choice.below(8) {
            0 => compact(&store),
            1 => {
                drop(store);
                store = StateStore::open(dir.path()).unwrap();
            }
            2 => {
                let unknown = workload.live.pop_last().unwrap();
                let known: HashSet<OperatorId> = workload.live.iter().copied().collect();
                store.delete_unknown(&known).unwrap();
                workload.model.drop_operator(unknown);
                workload.operators += 1;
                workload.live.insert(OperatorId(workload.operators));
            }
            _ => continue,
        }
        assert_eq!(Model::of(&store, workload.operators), workload.model, "seed {seed}, after epoch {epoch}");
    }
}
