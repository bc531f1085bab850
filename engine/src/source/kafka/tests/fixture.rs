use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use rdkafka::config::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};

use crate::data::{Column, ObjectId, SqlType};
use crate::error::Result;
use crate::source::{
    Decoded, Decoder, Delivery, Encoding, Envelope, Intake, Kafka, Message, Offsets, OnError, OnGap, Origin, Place,
    Reader, Refusal, SourceColumn, SourceSpec, SourceStatus, Turn,
};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A mock cluster with one topic, and a producer for it.
pub struct Cluster {
    pub mock: MockCluster<'static, DefaultProducerContext>,
    producer: BaseProducer,
}

impl Cluster {
    pub fn new(partitions: i32) -> Cluster {
        Cluster::with_compression(partitions, "none")
    }

    pub fn with_compression(partitions: i32, codec: &str) -> Cluster {
        let mock = MockCluster::new(1).unwrap();
        mock.create_topic("t", partitions, 1).unwrap();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", mock.bootstrap_servers())
            .set("linger.ms", "1")
            .set("compression.codec", codec)
            .create()
            .unwrap();
        Cluster { mock, producer }
    }

    pub fn send(&self, partition: i32, key: Option<&str>, value: Option<&str>) {
        let mut record = BaseRecord::<str, str>::to("t").partition(partition).timestamp(1000);
        record.key = key;
        record.payload = value;
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
    }

    pub fn flush(&self) {
        self.producer.flush(PATIENCE).unwrap();
    }

    pub fn spec(&self) -> SourceSpec {
        let text = Column::new("text", SqlType::Text, true);
        SourceSpec {
            kafka: Kafka {
                brokers: self.mock.bootstrap_servers(),
                topic: "t".to_owned(),
                // The mock never wakes a waiting fetch.
                properties: [("fetch.wait.max.ms".to_owned(), "1".to_owned())].into(),
                start: Offsets::default(),
                topic_id: None,
            },
            envelope: Envelope::Plain,
            encoding: Encoding::Json,
            columns: vec![SourceColumn { column: text, origin: Origin::Member }],
            primary_key: None,
            on_error: OnError::DeadLetter,
            on_gap: OnGap::Stop,
            retention: None,
            watermark: None,
        }
    }
}

/// Values as texts with partition and offset; those that begin with `!` are bad.
pub struct Texts(SchemaRef);

impl Decoder for Texts {
    fn schema(&self) -> &SchemaRef {
        &self.0
    }

    fn decode(&self, messages: &[Message<'_>]) -> Result<Decoded> {
        let mut texts = Vec::new();
        let mut refused = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            match std::str::from_utf8(message.value.unwrap_or(b"(deleted)")).unwrap() {
                bad if bad.starts_with('!') => refused.push(Refusal { index, reason: bad.to_owned() }),
                good => texts.push((good, i64::from(message.partition), message.offset)),
            }
        }
        let columns: Vec<arrow::array::ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(texts.iter().map(|(text, ..)| text))),
            Arc::new(arrow::array::Int64Array::from_iter_values(texts.iter().map(|(_, partition, _)| *partition))),
            Arc::new(arrow::array::Int64Array::from_iter_values(texts.iter().map(|(.., offset)| *offset))),
        ];
        Ok(Decoded { rows: RecordBatch::try_new(self.0.clone(), columns)?, deleted: None, refused })
    }
}

/// A reader and what it has delivered.
pub struct Following {
    pub reader: Reader,
    pub deliveries: Receiver<Delivery>,
    pub intake: Arc<Intake>,
    /// All that has been taken in.
    pub texts: Vec<(String, i64, i64)>,
    pub bad: Vec<(i32, i64, String)>,
    pub offsets: Offsets,
    pub lost: Vec<(i32, i64, i64)>,
}

impl Following {
    pub fn new(spec: SourceSpec, from: &Offsets) -> Following {
        Following::with_room(spec, from, 1 << 20)
    }

    pub fn with_room(spec: SourceSpec, from: &Offsets, room: usize) -> Following {
        let field = |name: &str, ty| Field::new(name, ty, false);
        let fields =
            vec![field("text", DataType::Utf8), field("partition", DataType::Int64), field("offset", DataType::Int64)];
        let decoder = Arc::new(Texts(Arc::new(Schema::new(fields))));
        let intake = Intake::new(room, 2).unwrap();
        let (sender, deliveries) = mpsc::channel();
        let deliver = Box::new(move |delivery| sender.send(delivery).is_ok());
        let from = Place { offsets: from.clone(), topic: None };
        let reader = Reader::start(ObjectId(20000), Arc::new(spec), &from, decoder, intake.clone(), deliver).unwrap();
        Following {
            reader,
            deliveries,
            intake,
            texts: Vec::new(),
            bad: Vec::new(),
            offsets: from.offsets,
            lost: Vec::new(),
        }
    }

    /// Takes in one delivery; false when there was none in this time.
    pub fn take(&mut self, wait: Duration) -> bool {
        let Ok(delivery) = self.deliveries.recv_timeout(wait) else { return false };
        let texts = delivery.rows.column(0).as_string::<i32>();
        let (partitions, offsets) =
            (delivery.rows.column(1).as_primitive::<Int64Type>(), delivery.rows.column(2).as_primitive::<Int64Type>());
        for row in 0..delivery.rows.num_rows() {
            self.texts.push((texts.value(row).to_owned(), partitions.value(row), offsets.value(row)));
        }
        self.bad.extend(delivery.bad.iter().map(|bad| (bad.partition, bad.offset, bad.error.clone())));
        self.lost.extend(delivery.lost.iter().map(|lost| (lost.partition, lost.from, lost.to)));
        match delivery.turn {
            Some(Turn::Back) => delivery.offsets.iter().for_each(|(partition, next)| self.offsets.set(partition, next)),
            _ => self.offsets.advance(&delivery.offsets),
        }
        true
    }

    /// Takes in deliveries until all before these offsets is there.
    pub fn reach(&mut self, end: &Offsets) {
        self.until(|following| following.offsets.reaches(end));
    }

    /// Takes in deliveries until what has come is as it should be.
    pub fn until(&mut self, what: impl Fn(&Following) -> bool) {
        let started = Instant::now();
        while !what(self) {
            assert!(started.elapsed() < PATIENCE, "only {:?}: {:?}", self.offsets, self.reader.status());
            self.take(Duration::from_millis(100));
        }
    }

    pub fn wait_for(&mut self, what: impl Fn(&SourceStatus) -> bool) -> SourceStatus {
        let started = Instant::now();
        loop {
            let status = self.reader.status();
            if what(&status) {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "{status:?}");
            self.take(Duration::from_millis(20));
        }
    }

    /// The texts of a partition, in the order of their arrival.
    pub fn of(&self, partition: i64) -> Vec<&str> {
        let texts = self.texts.iter().filter(|(_, from, _)| *from == partition);
        texts.map(|(text, ..)| text.as_str()).collect()
    }
}

pub fn offsets(offsets: &[(i32, i64)]) -> Offsets {
    offsets.iter().copied().collect()
}
