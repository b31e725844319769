//! Counts the HTTP/2 frames that cost us work and the sender nothing.
//!
//! hyper and h2 bound the memory of most floods and none of the work: a peer can open and reset
//! streams, ping, or change settings as fast as the line carries it, and every one of them is answered.
//! This looks at frame headers only, on their way in, and reports a connection whose share of such frames
//! no honest client has. It stands in front of h2, so a flood costs nine bytes of parsing a frame.

use tokio::time::Instant;

/// How many frames of a sort come at once, and how many more each second.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// At once.
    pub burst: u32,
    /// Each second.
    pub per_second: u32,
}

/// Allowances of one connection.
#[derive(Clone, Copy, Debug)]
pub struct FloodSettings {
    /// Streams that the peer reset.
    pub resets: Allowance,
    /// PING, SETTINGS, PRIORITY, GOAWAY, CONTINUATION, unknown frames, and empty DATA that ends nothing.
    pub control: Allowance,
    /// WINDOW_UPDATE, of which an honest reader sends many.
    pub window_updates: Allowance,
}

impl Default for FloodSettings {
    fn default() -> Self {
        Self {
            resets: Allowance { burst: 1024, per_second: 64 },
            control: Allowance { burst: 256, per_second: 32 },
            window_updates: Allowance { burst: 8192, per_second: 4096 },
        }
    }
}

/// More frames of a sort than allowed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the peer floods the connection with {0} frames")]
pub(super) struct Flood(pub(super) &'static str);

/// Reads along with one connection's incoming bytes.
#[derive(Debug)]
pub(super) struct FloodMeter {
    settings: FloodSettings,
    /// Bytes to pass over before the next frame header: the preface, then payloads.
    skip: usize,
    header: [u8; FRAME_HEADER_BYTES],
    header_filled: usize,
    resets: Bucket,
    control: Bucket,
    window_updates: Bucket,
}

impl FloodMeter {
    /// For bytes that a client sends.
    pub(super) fn of_client(settings: FloodSettings, now: Instant) -> Self {
        Self { skip: PREFACE_BYTES, ..Self::of_server(settings, now) }
    }

    /// For bytes that a server sends: these begin with a frame.
    pub(super) fn of_server(settings: FloodSettings, now: Instant) -> Self {
        Self {
            settings,
            skip: 0,
            header: [0; FRAME_HEADER_BYTES],
            header_filled: 0,
            resets: Bucket::full(settings.resets, now),
            control: Bucket::full(settings.control, now),
            window_updates: Bucket::full(settings.window_updates, now),
        }
    }

    /// Takes note of bytes that arrived.
    pub(super) fn read(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Flood> {
        while !bytes.is_empty() {
            let passed = self.skip.min(bytes.len());
            self.skip -= passed;
            bytes = &bytes[passed..];
            let wanted = (FRAME_HEADER_BYTES - self.header_filled).min(bytes.len());
            self.header[self.header_filled..self.header_filled + wanted]
                .copy_from_slice(&bytes[..wanted]);
            self.header_filled += wanted;
            bytes = &bytes[wanted..];
            if self.header_filled == FRAME_HEADER_BYTES {
                self.header_filled = 0;
                self.frame(now)?;
            }
        }
        Ok(())
    }

    fn frame(&mut self, now: Instant) -> Result<(), Flood> {
        let [l0, l1, l2, kind, flags, ..] = self.header;
        let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        self.skip = length;
        let (bucket, allowance, name) = match kind {
            DATA if length > 0 || flags & END_STREAM != 0 => return Ok(()),
            HEADERS => return Ok(()),
            RST_STREAM => (&mut self.resets, self.settings.resets, "RST_STREAM"),
            WINDOW_UPDATE => {
                (&mut self.window_updates, self.settings.window_updates, "WINDOW_UPDATE")
            }
            _ => (&mut self.control, self.settings.control, "control"),
        };
        if bucket.take(allowance, now) { Ok(()) } else { Err(Flood(name)) }
    }
}

/// A leaky bucket.
#[derive(Debug)]
struct Bucket {
    left: f64,
    filled_at: Instant,
}

impl Bucket {
    fn full(allowance: Allowance, now: Instant) -> Self {
        Self { left: f64::from(allowance.burst), filled_at: now }
    }

    fn take(&mut self, allowance: Allowance, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.filled_at).as_secs_f64()
            * f64::from(allowance.per_second);
        self.left = (self.left + gained).min(f64::from(allowance.burst));
        self.filled_at = now;
        self.left -= 1.0;
        self.left >= 0.0
    }
}

const PREFACE_BYTES: usize = 24;
const FRAME_HEADER_BYTES: usize = 9;
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const WINDOW_UPDATE: u8 = 0x8;
const END_STREAM: u8 = 0x1;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        // A payload full of what would be a reset's type, to catch a meter that loses its place.
        frame.resize(9 + payload, RST_STREAM);
        frame
    }

    fn meter() -> (FloodMeter, Instant) {
        let tight = Allowance { burst: 2, per_second: 1 };
        let settings = FloodSettings { resets: tight, control: tight, window_updates: tight };
        let now = Instant::now();
        let mut meter = FloodMeter::of_client(settings, now);
        meter.read(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", now).unwrap();
        (meter, now)
    }

    #[test]
    fn each_sort_has_its_own_allowance_however_the_bytes_are_cut() {
        for cut in [1, 2, 7, 9, 4096] {
            for (kind, name) in
                [(RST_STREAM, "RST_STREAM"), (0x6, "control"), (WINDOW_UPDATE, "WINDOW_UPDATE")]
            {
                let (mut meter, now) = meter();
                let mut bytes = frame(HEADERS, 4, 100);
                bytes.extend([frame(kind, 0, 4), frame(DATA, 0, 1000), frame(kind, 0, 8)].concat());
                for part in bytes.chunks(cut) {
                    meter.read(part, now).unwrap();
                }
                assert_eq!(meter.read(&frame(kind, 0, 4), now), Err(Flood(name)));
            }
        }
    }

    #[test]
    fn requests_and_data_are_never_a_flood() {
        let (mut meter, now) = meter();
        for _ in 0..1000 {
            meter.read(&frame(HEADERS, 5, 30), now).unwrap();
            meter.read(&frame(DATA, 0, 1), now).unwrap();
            meter.read(&frame(DATA, END_STREAM, 0), now).unwrap();
        }
        meter.read(&frame(DATA, 0, 0), now).unwrap();
        meter.read(&frame(DATA, 0, 0), now).unwrap();
        assert_eq!(meter.read(&frame(DATA, 0, 0), now), Err(Flood("control")));
    }

    #[test]
    fn an_allowance_comes_back_with_time() {
        let (mut meter, now) = meter();
        for _ in 0..2 {
            meter.read(&frame(0x6, 0, 8), now).unwrap();
        }
        meter.read(&frame(0x6, 0, 8), now + Duration::from_secs(1)).unwrap();
        assert!(meter.read(&frame(0x6, 0, 8), now + Duration::from_secs(1)).is_err());
    }
}
