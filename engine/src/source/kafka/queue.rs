//! librdkafka's simple consumer, whole batches at a time: 0.5 µs a message where one at a time takes thrice that.
//!
//! The only file of the folder with `unsafe` code besides that for topics' ids. Its invariants:
//! - topic and queues belong to the client, which the [`Queue`] holds and which goes last;
//! - the pointers of a [`Batch`] came from librdkafka once and are destroyed once, in its `Drop`;
//! - a message's bytes live as long as the message, so what [`Batch::events`] lends lives as long as the batch; the
//!   batch borrows the queue.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::{RDKafkaMessage, RDKafkaQueue, RDKafkaTopic};

use super::client::Client;
use crate::error::{Error, Result, SqlState};
use crate::source::{Header, Message};

/// Messages taken at once, and their bytes: what is decoded of them takes as much again until a step has it.
const MOST_MESSAGES: usize = 16_384;
const MOST_BYTES: usize = 16 << 20;

/// One queue for all partitions of a topic.
pub struct Queue {
    client: Client,
    name: CString,
    topic: *mut RDKafkaTopic,
    queue: *mut RDKafkaQueue,
    /// The client's own: logs, errors, statistics.
    reports: *mut RDKafkaQueue,
    /// Where the cluster's answers about the topic come in.
    answers: *mut RDKafkaQueue,
}

// SAFETY: librdkafka's handles may be used from any thread, and from several at once.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl Queue {
    pub fn new(client: Client, topic: &str) -> Result<Queue> {
        let name = CString::new(topic)
            .map_err(|_| Error::new(SqlState::INVALID_PARAMETER_VALUE, "the name of a topic has no zero byte"))?;
        let handle = client.client().native_ptr();
        // SAFETY: the client lives; librdkafka copies the name and takes its default topic configuration for null.
        let topic = unsafe { rd::rd_kafka_topic_new(handle, name.as_ptr(), ptr::null_mut()) };
        if topic.is_null() {
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid topic: {}", last_error())));
        }
        // SAFETY: the client lives.
        let (queue, answers) = unsafe { (rd::rd_kafka_queue_new(handle), rd::rd_kafka_queue_new(handle)) };
        // SAFETY: as above.
        let reports = unsafe { rd::rd_kafka_queue_get_main(handle) };
        Ok(Queue { client, name, topic, queue, reports, answers })
    }

    /// The topic's name.
    pub(super) fn topic(&self) -> &CStr {
        &self.name
    }

    /// Where the cluster's answers about the topic come in: lives as long as the client.
    pub(super) fn answers(&self) -> *mut RDKafkaQueue {
        self.answers
    }

    /// Lets the client tell its context all that has happened until now: at least what it was told before the messages
    /// that were taken.
    pub fn report(&self) {
        // SAFETY: the queue lives.
        while unsafe { rd::rd_kafka_queue_length(self.reports) } > 0 {
            self.client.poll(Duration::ZERO);
        }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Reads a partition from an offset on.
    pub fn start(&self, partition: i32, offset: i64) -> Result<()> {
        // SAFETY: topic and queue live.
        let status = unsafe { rd::rd_kafka_consume_start_queue(self.topic, partition, offset, self.queue) };
        match status {
            0 => Ok(()),
            _ => Err(Error::internal(format!("partition {partition} cannot be read: {}", last_error()))),
        }
    }

    /// Reads a partition no more. What was fetched of it and not taken yet is thrown away.
    pub fn stop(&self, partition: i32) {
        // SAFETY: the topic lives. Fails only where the partition was not started.
        unsafe { rd::rd_kafka_consume_stop(self.topic, partition) };
    }

    /// Throws away what was fetched of partitions that are stopped and not taken.
    pub fn drain(&self) {
        while !self.take(Duration::ZERO).is_empty() {}
    }

    /// Messages and errors: waits for the first, then takes what there is. Of large messages not many: at most about
    /// twice as many bytes as are wanted, where they are alike.
    pub fn take(&self, wait: Duration) -> Batch<'_> {
        let mut batch = Batch { pointers: Vec::new(), queue: PhantomData };
        let mut bytes = self.take_into(&mut batch, wait, 1);
        // As many again each time: how large they are shows only then.
        let mut before = 0;
        while batch.pointers.len() > before && batch.pointers.len() < MOST_MESSAGES && bytes < MOST_BYTES {
            before = batch.pointers.len();
            bytes += self.take_into(&mut batch, Duration::ZERO, before);
        }
        batch
    }

    /// Takes so many at most; returns the bytes of those that came.
    fn take_into(&self, batch: &mut Batch<'_>, wait: Duration, at_most: usize) -> usize {
        let before = batch.pointers.len();
        batch.pointers.reserve(at_most);
        let room = batch.pointers.spare_capacity_mut();
        let millis = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue lives, and there is room for so many pointers.
        let taken = unsafe { rd::rd_kafka_consume_batch_queue(self.queue, millis, room.as_mut_ptr().cast(), at_most) };
        let length = before + usize::try_from(taken).unwrap_or(0);
        // SAFETY: librdkafka wrote so many pointers, and not more than there is room for.
        unsafe { batch.pointers.set_len(length) };
        // SAFETY: messages live as long as the batch, and nobody changes them.
        let sizes = batch.pointers[before..].iter().map(|message| unsafe { (**message).len + (**message).key_len });
        sizes.sum()
    }

    /// Makes a thread that waits in [`Queue::take`] return.
    pub fn wake(&self) {
        // SAFETY: the queue lives.
        unsafe { rd::rd_kafka_queue_yield(self.queue) };
        // SAFETY: as above.
        unsafe { rd::rd_kafka_queue_yield(self.answers) };
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: all came from librdkafka and are used no more; the client lives until after this.
        unsafe {
            rd::rd_kafka_queue_destroy(self.queue);
            rd::rd_kafka_queue_destroy(self.answers);
            rd::rd_kafka_queue_destroy(self.reports);
            rd::rd_kafka_topic_destroy(self.topic);
        }
    }
}

/// What was taken from a queue at once.
pub struct Batch<'q> {
    pointers: Vec<*mut RDKafkaMessage>,
    queue: PhantomData<&'q Queue>,
}

/// A message, or what librdkafka says of a partition in its place.
#[derive(Debug)]
pub enum Event<'a> {
    Message(Message<'a>),
    /// All messages before this offset have been seen.
    End {
        partition: i32,
        offset: i64,
    },
    Error {
        partition: i32,
        code: RDKafkaErrorCode,
        text: String,
    },
}

impl Batch<'_> {
    pub fn is_empty(&self) -> bool {
        self.pointers.is_empty()
    }

    /// In the order of each partition.
    pub fn events(&self, with_headers: bool) -> impl Iterator<Item = Event<'_>> {
        self.pointers.iter().map(move |pointer| {
            // SAFETY: the message lives as long as the batch, and nobody changes it.
            let message = unsafe { &**pointer };
            event(message, with_headers)
        })
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for pointer in &self.pointers {
            // SAFETY: each came from librdkafka and is destroyed only here.
            unsafe { rd::rd_kafka_message_destroy(*pointer) };
        }
    }
}

fn event(message: &RDKafkaMessage, with_headers: bool) -> Event<'_> {
    let code = RDKafkaErrorCode::from(message.err);
    match code {
        RDKafkaErrorCode::NoError => {}
        RDKafkaErrorCode::PartitionEOF => {
            return Event::End { partition: message.partition, offset: message.offset };
        }
        code => {
            // SAFETY: the message lives; the text is its own or a constant, with a zero at its end, or null.
            let text = unsafe { text(rd::rd_kafka_message_errstr(message)) };
            return Event::Error { partition: message.partition, code, text };
        }
    }
    // SAFETY: pointers and lengths are librdkafka's; the bytes live as long as the message.
    let (key, value) = unsafe { (bytes(message.key, message.key_len), bytes(message.payload, message.len)) };
    let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: the message lives.
    let millis = unsafe { rd::rd_kafka_message_timestamp(message, &mut kind) };
    Event::Message(Message {
        partition: message.partition,
        offset: message.offset,
        timestamp_ms: (millis >= 0).then_some(millis),
        key,
        value,
        headers: if with_headers { headers(message) } else { Vec::new() },
    })
}

fn headers(message: &RDKafkaMessage) -> Vec<Header<'_>> {
    let mut list = ptr::null_mut();
    // SAFETY: the message lives. librdkafka parses its headers now and keeps them with it; only this thread asks.
    let status = unsafe { rd::rd_kafka_message_headers(message, &mut list) };
    if status != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Vec::new();
    }
    let mut headers = Vec::new();
    loop {
        let (mut name, mut value, mut length): (*const c_char, *const c_void, usize) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the list lives as long as the message.
        let status = unsafe { rd::rd_kafka_header_get_all(list, headers.len(), &mut name, &mut value, &mut length) };
        if status != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
            return headers;
        }
        // SAFETY: the name ends with a zero, the value has its length; both live as long as the message.
        headers.push(unsafe { Header { key: CStr::from_ptr(name).to_bytes(), value: bytes(value, length) } });
    }
}

/// # Safety
/// Null, or so many bytes that live for `'a`.
unsafe fn bytes<'a>(start: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast(), length) })
}

/// # Safety
/// Null, or a text with a zero at its end.
pub(super) unsafe fn text(start: *const c_char) -> String {
    if start.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(start) }.to_string_lossy().into_owned()
}

fn last_error() -> String {
    // SAFETY: both only read thread-local and constant data.
    unsafe { text(rd::rd_kafka_err2str(rd::rd_kafka_last_error())) }
}
