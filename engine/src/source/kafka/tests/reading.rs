use std::time::{Duration, Instant};

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::super::client::{Context, connect};
use super::super::queue::{Event, Queue};
use super::fixture::{Cluster, Following, PATIENCE, offsets};
use crate::source::{Kafka, OnError, PartitionState, Pause, Start, extent, resolve};

#[test]
fn partitions_are_read_in_order_and_from_given_offsets() {
    let cluster = Cluster::new(3);
    for number in 0..3000 {
        cluster.send(number % 3, None, Some(&number.to_string()));
    }
    cluster.flush();
    let mut all = Following::new(cluster.spec(), &offsets(&[(0, 0), (1, 0), (2, 0)]));
    all.reach(&offsets(&[(0, 1000), (1, 1000), (2, 1000)]));
    for partition in 0..3 {
        let expected: Vec<String> = (0..1000).map(|number| (number * 3 + partition).to_string()).collect();
        assert_eq!(all.of(partition), expected);
    }
    // From the middle on, and live.
    let mut rest = Following::new(cluster.spec(), &offsets(&[(0, 998), (1, 1000), (2, 999)]));
    rest.reach(&offsets(&[(0, 1000), (1, 1000), (2, 1000)]));
    cluster.send(1, None, Some("new"));
    cluster.flush();
    rest.reach(&offsets(&[(1, 1001)]));
    assert_eq!((rest.of(0), rest.of(1), rest.of(2)), (vec!["2994", "2997"], vec!["new"], vec!["2999"]));
    let status = rest.wait_for(|status| status.partitions.values().all(|partition| partition.lag() == Some(0)));
    assert!(status.connected && status.error.is_none());
    assert_eq!(status.partitions[&0].state, PartitionState::Running);
    assert_eq!((status.partitions[&0].messages, status.partitions[&0].next), (2, 1000));
}

#[test]
fn compressed_topics_are_read() {
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let cluster = Cluster::with_compression(1, codec);
        for number in 0..500 {
            cluster.send(0, None, Some(&format!("{number}-{}", "x".repeat(100))));
        }
        cluster.flush();
        let mut following = Following::new(cluster.spec(), &offsets(&[(0, 0)]));
        following.reach(&offsets(&[(0, 500)]));
        assert_eq!(following.texts.len(), 500, "{codec}");
        assert!(following.texts[499].0.starts_with("499-"), "{codec}");
    }
}

/// Well compressed, one answer of a broker holds far more than is to be decoded at once.
#[test]
fn of_large_messages_few_are_taken_at_once() {
    const MESSAGES: usize = 80;
    let cluster = Cluster::with_compression(1, "lz4");
    let text = "x".repeat(900_000);
    for _ in 0..MESSAGES {
        cluster.send(0, None, Some(&text));
    }
    cluster.flush();
    let kafka = cluster.spec().kafka;
    let queue = Queue::new(connect(&kafka, Context::default()).unwrap(), &kafka.topic).unwrap();
    queue.start(0, 0).unwrap();
    let (started, mut taken) = (Instant::now(), 0);
    while taken < MESSAGES {
        assert!(started.elapsed() < PATIENCE, "only {taken} messages");
        let batch = queue.take(Duration::from_millis(100));
        let size = |event: Event<'_>| match event {
            Event::Message(message) => message.value.map(<[u8]>::len),
            Event::End { .. } | Event::Error { .. } => None,
        };
        let sizes: Vec<usize> = batch.events(false).filter_map(size).collect();
        assert!(sizes.iter().sum::<usize>() <= 32 << 20, "{} messages at once", sizes.len());
        taken += sizes.len();
    }
}

#[test]
fn bad_messages_are_delivered_as_such() {
    let cluster = Cluster::new(1);
    for value in ["a", "!one", "b", "!two"] {
        cluster.send(0, Some("k"), Some(value));
    }
    cluster.send(0, Some("k"), None);
    cluster.flush();
    let mut following = Following::new(cluster.spec(), &offsets(&[(0, 0)]));
    following.reach(&offsets(&[(0, 5)]));
    assert_eq!(following.of(0), ["a", "b", "(deleted)"]);
    assert_eq!(following.bad, [(0, 1, "!one".to_owned()), (0, 3, "!two".to_owned())]);
}

#[test]
fn a_bad_message_can_stop_its_partition() {
    let cluster = Cluster::new(2);
    for value in ["a", "b", "!bad", "c", "!bad", "d"] {
        cluster.send(0, None, Some(value));
        cluster.send(1, None, Some("x"));
    }
    cluster.flush();
    let mut spec = cluster.spec();
    spec.on_error = OnError::Fail;
    let mut following = Following::new(spec, &offsets(&[(0, 0), (1, 0)]));
    following.reach(&offsets(&[(0, 2), (1, 6)]));
    let status = following.wait_for(|status| status.partitions[&0].state == PartitionState::Refused);
    let failed = &status.partitions[&0];
    assert_eq!((failed.next, failed.error.as_deref()), (2, Some("message at offset 2: !bad")));
    // The other one goes on.
    cluster.send(1, None, Some("y"));
    cluster.send(0, None, Some("z"));
    cluster.flush();
    following.reach(&offsets(&[(1, 7)]));
    assert_eq!((following.of(0), following.of(1).len()), (vec!["a", "b"], 7));
    assert_eq!(following.offsets, offsets(&[(0, 2), (1, 7)]));
}

#[test]
fn readers_pause_when_there_is_no_room() {
    let cluster = Cluster::new(1);
    let large = "x".repeat(10_000);
    let mut following = Following::with_room(cluster.spec(), &offsets(&[(0, 0)]), 20_000);
    let mut held = Vec::new();
    for _ in 0..20 {
        cluster.send(0, None, Some(&large));
        cluster.flush();
        if let Ok(delivery) = following.deliveries.recv_timeout(Duration::from_millis(500)) {
            held.push(delivery);
        }
    }
    assert!(following.intake.used() >= 20_000);
    assert!(held.len() < 20);
    following.wait_for(|status| status.paused == Some(Pause::Steps));
    for delivery in held {
        following.offsets.advance(&delivery.offsets);
    }
    following.reach(&offsets(&[(0, 20)]));
    following.wait_for(|status| status.paused.is_none());
    assert_eq!(following.intake.used(), 0);
}

/// Nothing is fetched meanwhile; then each message comes once, also those of a partition that had not begun.
#[test]
fn readers_pause_for_memory() {
    let cluster = Cluster::new(2);
    let mut following = Following::new(cluster.spec(), &offsets(&[(0, 0), (1, 0)]));
    let send = |texts: std::ops::Range<usize>| {
        for text in texts {
            cluster.send(0, None, Some(&text.to_string()));
        }
        cluster.flush();
    };
    send(0..1000);
    following.reach(&offsets(&[(0, 1000)]));
    for round in 1..4 {
        following.intake.hold(true);
        following.wait_for(|status| status.paused == Some(Pause::Memory));
        let before = following.offsets.clone();
        send(round * 1000..(round + 1) * 1000);
        cluster.send(1, None, Some("other"));
        cluster.flush();
        // What was delivered before the pause may still come; what is sent in it does not.
        while following.take(Duration::from_millis(300)) {}
        assert_eq!(following.offsets, before);
        following.intake.hold(false);
        following.reach(&offsets(&[(0, (round as i64 + 1) * 1000), (1, round as i64)]));
        following.wait_for(|status| status.paused.is_none());
    }
    let expected: Vec<String> = (0..4000).map(|text| text.to_string()).collect();
    assert_eq!(following.of(0), expected);
    assert_eq!(following.of(1), ["other"; 3]);
}

#[test]
fn starts_are_resolved_once() {
    let cluster = Cluster::new(2);
    for _ in 0..10 {
        cluster.send(1, None, Some("x"));
    }
    cluster.flush();
    let mut kafka = cluster.spec().kafka;
    let earliest = resolve(&kafka, Start::Earliest).unwrap();
    assert_eq!((earliest.start, earliest.missing), (offsets(&[(0, 0), (1, 0)]), 0));
    let latest = resolve(&kafka, Start::Latest).unwrap();
    assert_eq!((latest.start.clone(), latest.missing), (offsets(&[(0, 0), (1, 10)]), 0));
    let extent = extent(&kafka).unwrap();
    assert_eq!((&extent.end, extent.missing(&kafka)), (&latest.start, 0));
    // A reader without offsets of its own begins there.
    let mut spec = cluster.spec();
    spec.kafka.start = latest.start;
    let mut following = Following::new(spec, &offsets(&[]));
    cluster.send(1, None, Some("later"));
    cluster.flush();
    following.reach(&offsets(&[(1, 11)]));
    assert_eq!(following.of(1), ["later"]);

    kafka.topic = "unknown".to_owned();
    let error = resolve(&kafka, Start::Earliest).unwrap_err();
    assert_eq!(error.sqlstate().code(), "42704", "{error}");
    kafka.properties.insert("no.such.property".to_owned(), "1".to_owned());
    let error = resolve(&kafka, Start::Earliest).unwrap_err();
    assert_eq!(error.sqlstate().code(), "22023");
    assert!(error.message().contains("no.such.property"), "{error}");
}

/// For a moment after a topic is made its brokers do not know that they lead its partitions.
#[test]
fn a_topic_that_was_just_made_is_waited_for() {
    let cluster = Cluster::new(1);
    cluster.send(0, None, Some("x"));
    cluster.flush();
    let kafka = cluster.spec().kafka;
    for start in [Start::Latest, Start::Timestamp(i64::MAX / 2)] {
        let not_yet = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
        cluster.mock.request_errors(RDKafkaApiKey::ListOffsets, &[not_yet; 3]);
        assert_eq!(resolve(&kafka, start).unwrap().start, offsets(&[(0, 1)]));
    }
}

#[test]
fn brokers_that_do_not_answer_are_named() {
    let kafka = Kafka {
        brokers: "127.0.0.1:1".to_owned(),
        topic: "t".to_owned(),
        properties: [].into(),
        start: offsets(&[]),
        topic_id: None,
    };
    let started = std::time::Instant::now();
    let error = resolve(&kafka, Start::Earliest).unwrap_err();
    assert!(started.elapsed() < PATIENCE);
    assert_eq!(error.sqlstate().code(), "08006");
    assert!(error.message().contains("127.0.0.1:1") && error.hint().is_some(), "{error:?}");
    assert!(error.detail().is_some_and(|detail| detail.contains("refused")), "{error:?}");
}
