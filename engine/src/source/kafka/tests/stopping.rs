use std::time::{Duration, Instant};

use super::fixture::{Cluster, Following, offsets};
use crate::source::{OnGap, PartitionState};

#[test]
fn brokers_that_go_away_are_waited_for() {
    let cluster = Cluster::new(1);
    cluster.send(0, None, Some("before"));
    cluster.flush();
    let mut following = Following::new(cluster.spec(), &offsets(&[(0, 0)]));
    following.reach(&offsets(&[(0, 1)]));
    cluster.mock.broker_down(1).unwrap();
    let status = following.wait_for(|status| !status.connected);
    assert!(!status.partitions[&0].state.is_stopped());
    following.wait_for(|status| status.partitions[&0].state == PartitionState::Reconnecting);
    cluster.mock.broker_up(1).unwrap();
    following.wait_for(|status| status.connected && status.partitions[&0].state == PartitionState::Running);
    cluster.send(0, None, Some("after"));
    cluster.flush();
    following.reach(&offsets(&[(0, 2)]));
    assert_eq!(following.of(0), ["before", "after"]);
}

#[test]
fn offsets_that_are_not_there_are_loud() {
    let cluster = Cluster::new(2);
    cluster.send(0, None, Some("x"));
    cluster.send(1, None, Some("x"));
    cluster.flush();
    let mut following = Following::new(cluster.spec(), &offsets(&[(0, 100), (1, 0)]));
    let status = following.wait_for(|status| status.partitions[&0].state == PartitionState::Gap);
    let error = status.partitions[&0].error.clone().unwrap_or_default();
    assert!(error.contains("ends at offset 1, and was read up to 100"), "{error}");
    following.reach(&offsets(&[(1, 1)]));
    assert_eq!(following.of(0), [""; 0]);
}

/// As after the election of a leader that had less.
#[test]
fn a_log_that_was_cut_off_is_loud() {
    let cluster = Cluster::new(1);
    cluster.send(0, None, Some("a"));
    cluster.send(0, None, Some("b"));
    cluster.flush();
    let mut spec = cluster.spec();
    spec.on_gap = OnGap::Continue;
    let mut following = Following::new(spec, &offsets(&[(0, 7)]));
    following.wait_for(|status| status.partitions[&0].next == 2);
    cluster.send(0, None, Some("c"));
    cluster.flush();
    // It goes back, so that it is beyond this from the start.
    following.until(|following| following.offsets == offsets(&[(0, 3)]));
    following.wait_for(|status| status.partitions[&0].state == PartitionState::Running);
    assert_eq!((following.of(0), &following.lost), (vec!["c"], &vec![(0, 2, 7)]));
    assert_eq!(following.offsets, offsets(&[(0, 3)]));
}

#[test]
fn dropping_a_reader_does_not_wait() {
    let cluster = Cluster::new(1);
    cluster.send(0, None, Some("x"));
    cluster.flush();
    let mut following = Following::new(cluster.spec(), &offsets(&[(0, 0)]));
    following.reach(&offsets(&[(0, 1)]));
    // Idle, paused, and without brokers.
    let dropped = |following: Following| {
        let Following { reader, deliveries, .. } = following;
        let started = Instant::now();
        drop(reader);
        assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
        assert!(deliveries.recv().is_err());
    };
    dropped(following);
    dropped(Following::with_room(cluster.spec(), &offsets(&[(0, 0)]), 0));
    cluster.mock.broker_down(1).unwrap();
    dropped(Following::new(cluster.spec(), &offsets(&[(0, 0)])));
}
