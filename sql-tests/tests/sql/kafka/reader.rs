//! The engine's reader on what librdkafka's mock cluster cannot do: transactions, times, new partitions, deletions.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use levada_engine::ScalarValue;
use levada_engine::data::{Column, ObjectId, Parts, SqlType};
use levada_engine::decode;
use levada_engine::source::{
    self, Delivery, Encoding, Envelope, Intake, Kafka, Loss, LostRange, Offsets, OnError, OnGap, Origin,
    PartitionState, Place, Reader, SourceColumn, SourceSpec, SourceStatus, Start,
};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::Broker;
use super::broker::PATIENCE;

/// A table of two columns: the member `n` of the value, and the message's time.
fn spec(broker: &Broker, topic: &str, start: Offsets) -> SourceSpec {
    let column = |name: &str, ty, origin| SourceColumn { column: Column::new(name, ty, true), origin };
    SourceSpec {
        kafka: Kafka {
            brokers: broker.address(),
            topic: topic.to_owned(),
            properties: [("topic.metadata.refresh.interval.ms".to_owned(), "500".to_owned())].into(),
            start,
            topic_id: None,
        },
        envelope: Envelope::Plain,
        encoding: Encoding::Json,
        columns: vec![
            column("n", SqlType::Int4, Origin::Member),
            column("time", SqlType::Timestamptz, Origin::Timestamp),
        ],
        primary_key: None,
        on_error: OnError::DeadLetter,
        on_gap: OnGap::Stop,
        retention: None,
        watermark: None,
    }
}

struct Following {
    reader: Reader,
    deliveries: Receiver<Delivery>,
    numbers: Vec<i32>,
    offsets: Offsets,
    lost: Vec<LostRange>,
}

impl Following {
    fn new(spec: SourceSpec) -> Following {
        let decoder = decode::decoder(&spec, &Parts::All, |text| Ok(text.to_owned())).expect("a decoder");
        let intake = Intake::new(1 << 20, 2).expect("threads");
        let (sender, deliveries) = mpsc::channel();
        let deliver = Box::new(move |delivery| sender.send(delivery).is_ok());
        let reader = Reader::start(ObjectId(20000), Arc::new(spec), &Place::default(), decoder, intake, deliver);
        let reader = reader.expect("a reader");
        Following { reader, deliveries, numbers: Vec::new(), offsets: Offsets::default(), lost: Vec::new() }
    }

    fn take(&mut self) {
        let Ok(delivery) = self.deliveries.recv_timeout(Duration::from_millis(50)) else { return };
        assert_eq!(delivery.bad, []);
        for row in 0..delivery.rows.num_rows() {
            match ScalarValue::try_from_array(delivery.rows.column(0), row) {
                Ok(ScalarValue::Int32(Some(number))) => self.numbers.push(number),
                other => panic!("{other:?}"),
            }
        }
        self.offsets.advance(&delivery.offsets);
        self.lost.extend(delivery.lost);
    }

    fn reach(&mut self, end: &Offsets) {
        let asked = Instant::now();
        while !self.offsets.reaches(end) {
            assert!(asked.elapsed() < PATIENCE, "{:?} of {end:?}: {:?}", self.offsets, self.reader.status());
            self.take();
        }
    }

    fn wait_for(&mut self, what: impl Fn(&SourceStatus) -> bool) {
        let asked = Instant::now();
        while !what(&self.reader.status()) {
            assert!(asked.elapsed() < PATIENCE, "{:?}", self.reader.status());
            self.take();
        }
    }
}

fn send(producer: &BaseProducer, topic: &str, partition: i32, numbers: std::ops::Range<i32>) {
    for number in numbers {
        let value = format!("{{\"n\": {number}}}");
        let time = 1_000_000 + i64::from(number) * 1000;
        let record = BaseRecord::<(), str>::to(topic).partition(partition).timestamp(time).payload(&value);
        producer.send(record).map_err(|(error, _)| error).expect("room in the producer's queue");
    }
    producer.flush(PATIENCE).expect("the broker's answer");
}

fn offsets(offsets: &[(i32, i64)]) -> Offsets {
    offsets.iter().copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn committed_transactions_are_read_and_others_are_not() {
    let broker = Broker::shared();
    for codec in ["zstd", "lz4", "snappy", "gzip"] {
        let topic = format!("transactions-{codec}");
        broker.create_topic(&topic, 1).await;
        let producer = broker.producer(&[("transactional.id", &topic), ("compression.codec", codec)]);
        producer.init_transactions(PATIENCE).expect("a transactional producer");
        for (round, commits) in [true, false, true, false].into_iter().enumerate() {
            producer.begin_transaction().expect("a transaction");
            let first = round as i32 * 100;
            send(&producer, &topic, 0, first..first + 100);
            match commits {
                true => producer.commit_transaction(PATIENCE).expect("a commit"),
                false => producer.abort_transaction(PATIENCE).expect("an abort"),
            }
        }
        let spec = spec(broker, &topic, offsets(&[(0, 0)]));
        // The marks of the four ends have offsets too.
        let end = source::extent(&spec.kafka).expect("the topic's extent").end;
        assert_eq!(end, offsets(&[(0, 404)]));
        let mut following = Following::new(spec);
        following.reach(&end);
        assert_eq!(following.numbers, (0..100).chain(200..300).collect::<Vec<_>>(), "{codec}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_is_waited_for() {
    let broker = Broker::shared();
    broker.create_topic("open", 1).await;
    let spec = spec(broker, "open", offsets(&[(0, 0)]));
    let producer = broker.producer(&[("transactional.id", "open")]);
    producer.init_transactions(PATIENCE).expect("a transactional producer");
    producer.begin_transaction().expect("a transaction");
    send(&producer, "open", 0, 0..3);
    send(&broker.producer(&[]), "open", 0, 3..5);
    assert_eq!(source::extent(&spec.kafka).expect("the topic's extent").end, offsets(&[(0, 0)]));
    let mut following = Following::new(spec);
    following.wait_for(|status| status.partitions[&0].state == PartitionState::Running);
    assert!(following.numbers.is_empty());
    producer.commit_transaction(PATIENCE).expect("a commit");
    following.reach(&offsets(&[(0, 6)]));
    assert_eq!(following.numbers, [0, 1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_begins_at_a_time() {
    let broker = Broker::shared();
    broker.create_topic("times", 2).await;
    send(&broker.producer(&[]), "times", 0, 0..10);
    send(&broker.producer(&[]), "times", 1, 0..3);
    let mut spec = spec(broker, "times", offsets(&[]));
    let resolved = source::resolve(&spec.kafka, Start::Timestamp(1_000_000 + 6500)).expect("offsets");
    assert_eq!(resolved.start, offsets(&[(0, 7), (1, 3)]));
    spec.kafka.start = resolved.start;
    let mut following = Following::new(spec);
    following.reach(&offsets(&[(0, 10)]));
    assert_eq!(following.numbers, [7, 8, 9]);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_are_added_are_read_from_their_beginning() {
    let broker = Broker::shared();
    broker.create_topic("growing", 1).await;
    let mut following = Following::new(spec(broker, "growing", offsets(&[(0, 0)])));
    following.wait_for(|status| status.partitions[&0].state == PartitionState::Running);
    broker.add_partitions("growing", 3).await;
    let producer = broker.producer(&[]);
    for partition in 0..3 {
        send(&producer, "growing", partition, partition * 10..partition * 10 + 10);
    }
    following.reach(&offsets(&[(0, 10), (1, 10), (2, 10)]));
    following.numbers.sort_unstable();
    assert_eq!(following.numbers, (0..30).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_messages_are_missed_loudly() {
    let broker = Broker::shared();
    broker.create_topic("shrinking", 1).await;
    send(&broker.producer(&[]), "shrinking", 0, 0..10);
    let mut spec = spec(broker, "shrinking", offsets(&[(0, 2)]));
    assert_eq!(source::extent(&spec.kafka).expect("an answer").missing(&spec.kafka), 0);
    broker.delete_records("shrinking", 0, 6).await;
    assert_eq!(source::extent(&spec.kafka).expect("an answer").missing(&spec.kafka), 4);
    let earliest = source::resolve(&spec.kafka, Start::Earliest).expect("offsets");
    assert_eq!((earliest.start, earliest.missing), (offsets(&[(0, 6)]), 6));

    let mut stopping = Following::new(spec.clone());
    stopping.wait_for(|status| status.partitions[&0].state == PartitionState::Gap);
    assert!(stopping.numbers.is_empty());

    spec.on_gap = OnGap::Continue;
    let mut going_on = Following::new(spec);
    going_on.reach(&offsets(&[(0, 10)]));
    assert_eq!(going_on.numbers, [6, 7, 8, 9]);
    assert_eq!(going_on.lost, [LostRange { partition: 0, from: 2, to: 6, loss: Loss::Deleted }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_is_waited_for() {
    let mut broker = Broker::start();
    broker.create_topic("t", 1).await;
    send(&broker.producer(&[]), "t", 0, 0..5);
    let mut following = Following::new(spec(&broker, "t", offsets(&[(0, 0)])));
    following.reach(&offsets(&[(0, 5)]));
    broker.kill();
    following.wait_for(|status| !status.connected && status.partitions[&0].state == PartitionState::Reconnecting);
    broker.resume();
    send(&broker.producer(&[]), "t", 0, 5..10);
    following.reach(&offsets(&[(0, 10)]));
    assert_eq!(following.numbers, (0..10).collect::<Vec<_>>());
    following.wait_for(|status| status.connected && status.error.is_none());
}
