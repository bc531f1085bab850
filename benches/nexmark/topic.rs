//! The topic: filled once, then found again.

use levada_benches::Outcome;
use levada_benches::topic::{SEED, Topic};
use levada_engine::nexmark::Config;

/// When the first event happens: the queries of a run see the same times as those of another.
const START: i64 = 1_767_225_600_000;

const SETTINGS: [(&str, &str); 3] =
    [("linger.ms", "20"), ("batch.size", "1000000"), ("queue.buffering.max.messages", "1000000")];

/// Finds the topic of so many events, or makes and fills it.
pub async fn filled(brokers: &str, events: u64, partitions: i32, rate: u32) -> Outcome<Topic> {
    let topic = Topic::new(brokers, format!("nexmark-{SEED}-{events}-{partitions}-{rate}"), partitions);
    let name = &topic.name;
    match topic.held()? {
        Some(found) if found == events => {}
        Some(found) => return Err(format!("topic {name} holds {found} messages: delete it, then try again").into()),
        None => {
            println!("filling topic {name}");
            topic.create().await?;
            let mut writer = topic.writer(Config { seed: SEED, start: START, rate }, &SETTINGS)?;
            for number in 0..events {
                writer.send(number)?;
                if number % 1024 == 0 {
                    writer.poll();
                }
            }
            writer.finish()?;
        }
    }
    Ok(topic)
}
