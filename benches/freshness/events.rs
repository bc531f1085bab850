//! Events at a steady rate, and when each was sent.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use levada_benches::Outcome;
use levada_benches::topic::{SEED, Topic};
use levada_engine::nexmark::Config;

/// How often events are sent that are due.
const TICK: Duration = Duration::from_millis(1);

/// When events were given to the producer, in their order.
#[derive(Default)]
pub struct Times(Mutex<Vec<(i64, Instant)>>);

impl Times {
    fn add(&self, count: i64, at: Instant) -> Outcome<()> {
        self.0.lock().map_err(|error| error.to_string())?.push((count, at));
        Ok(())
    }

    /// When the last of the first so many events was sent; None when there were not so many.
    pub fn of(&self, count: i64) -> Option<Instant> {
        let times = self.0.lock().ok()?;
        let index = times.partition_point(|(sent, _)| *sent < count);
        times.get(index).map(|(_, at)| *at)
    }
}

/// Sends so many events a second for so long, on a thread.
pub fn send(topic: Topic, rate: u32, time: Duration, times: Arc<Times>) -> JoinHandle<Outcome<()>> {
    std::thread::spawn(move || {
        let start = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        let mut writer = topic.writer(Config { seed: SEED, start, rate }, &[("linger.ms", "1")])?;
        let (began, mut sent) = (Instant::now(), 0_u64);
        while began.elapsed() < time {
            let due = (began.elapsed().as_secs_f64() * f64::from(rate)) as u64;
            // Known before they can be counted.
            times.add(due.cast_signed(), Instant::now())?;
            for number in sent..due {
                writer.send(number)?;
            }
            sent = due;
            writer.poll();
            std::thread::sleep(TICK);
        }
        writer.finish()
    })
}
