use super::*;

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn network(rate: Option<u64>, latency: u64) -> NetworkSettings {
    NetworkSettings::new(rate, millis(latency)).unwrap()
}

#[test]
fn a_rate_of_0_and_a_latency_of_minutes_are_no_network() {
    assert_eq!(NetworkSettings::new(Some(0), Duration::ZERO), None);
    assert_eq!(NetworkSettings::new(None, millis(10_001)), None);
    let settings = NetworkSettings::new(Some(1), millis(10_000)).unwrap();
    assert_eq!((settings.rate(), settings.latency()), (Some(1), millis(10_000)));
}

#[test]
fn a_line_transmits_at_its_rate_whoever_sends() {
    let start = Instant::now();
    for rate in [1, 3, 1000, 200 << 10, 10 << 20, u64::MAX] {
        let (mut limiter, mut now, mut sent) = (network(Some(rate), 0).rate_limiter(), start, 0u64);
        for n in 0..1000 {
            let size = limiter.packet().min(1 + n * 37);
            let end = limiter.transmit(now, size);
            assert!(end >= now);
            sent += size as u64;
            let needs = u128::from(sent) * 1_000_000_000 / u128::from(rate);
            assert!((end - start).as_nanos() >= needs, "{rate}: {sent} bytes in {:?}", end - start);
            // Never more than a nanosecond for each call behind it.
            assert!((end - start).as_nanos() <= needs + n as u128 + 1, "{rate}");
            now = if n % 3 == 0 { end } else { now }; // some are given to it while it is busy
        }
    }
}

#[test]
fn a_late_caller_catches_up_but_an_idle_line_saves_nothing() {
    let start = Instant::now();
    let mut limiter = network(Some(1000), 0).rate_limiter();
    let first = limiter.transmit(start, 100);
    assert_eq!(first, start + millis(100));
    // 15 ms late: the next packet ends as if it had begun in time.
    assert_eq!(limiter.transmit(first + millis(15), 100), start + millis(200));
    // A second later only 20 ms are made up for.
    let later = start + millis(1200);
    assert_eq!(limiter.transmit(later, 100), later + millis(80));
    // Nothing is transmitted in the past.
    let idle = later + millis(1000);
    assert_eq!(limiter.transmit(idle, 10), idle);
}

#[test]
fn packets_are_short_at_every_rate() {
    for (rate, size) in [
        (Some(1), 1),
        (Some(49), 1),
        (Some(200 << 10), 4096),
        (Some(1 << 40), 64 << 10),
        (None, 64 << 10),
    ] {
        assert_eq!(network(rate, 0).rate_limiter().packet(), size, "{rate:?}");
    }
}

#[test]
fn without_a_rate_everything_is_transmitted_at_once() {
    let (mut limiter, now) = (network(None, 1000).rate_limiter(), Instant::now());
    assert_eq!((limiter.transmit(now, usize::MAX), limiter.transmit(now, 1)), (now, now));
}

#[test]
fn bytes_arrive_in_order_half_a_round_trip_later_and_the_end_behind_them() {
    let start = Instant::now();
    let mut queue = network(None, 300).delay_queue(start);
    assert_eq!(queue.next_arrival(), None);
    queue.push(b"abc".to_vec(), start);
    queue.push(b"def".to_vec(), start + millis(10));
    queue.finish(ClosedBy::Fin, start + millis(10));
    assert!(queue.arrived(start + millis(149)).is_empty());
    let now = start + millis(150);
    assert_eq!((queue.next_arrival(), queue.arrived(now)), (Some(now), &b"abc"[..]));
    queue.take(2);
    assert_eq!(queue.arrived(now), b"c");
    queue.take(9); // as many as there are
    assert!(queue.arrived(now).is_empty() && queue.end(now).is_none());
    let now = start + millis(160);
    assert_eq!((queue.next_arrival(), queue.arrived(now)), (Some(now), &b"def"[..]));
    assert_eq!(queue.end(now), None, "what is before it was not taken");
    queue.take(3);
    assert_eq!(queue.end(now), Some(ClosedBy::Fin));
    assert_eq!(queue.end(now - millis(1)), None);
}

#[test]
fn the_first_end_counts_and_a_reset_does_not_overtake() {
    let now = Instant::now();
    let mut queue = network(None, 0).delay_queue(now);
    assert!(!queue.is_finished());
    queue.push(b"abc".to_vec(), now);
    queue.finish(ClosedBy::Reset, now);
    queue.finish(ClosedBy::Fin, now);
    assert!(queue.is_finished());
    assert_eq!((queue.end(now), queue.arrived(now)), (None, &b"abc"[..]));
    queue.take(3);
    assert_eq!(queue.end(now), Some(ClosedBy::Reset));
}

#[test]
fn nothing_arrives_on_a_connection_that_has_not_begun() {
    let start = Instant::now();
    let settings = network(None, 300);
    let mut queue = settings.delay_queue(start + settings.latency());
    queue.push(b"request".to_vec(), start);
    assert_eq!(queue.next_arrival(), Some(start + millis(450)), "one and a half round trips");
}

#[test]
fn a_queue_holds_what_is_on_its_way_and_no_more() {
    let start = Instant::now();
    for (rate, latency, capacity) in [
        (None, 0, 4 << 20),
        (Some(1000), 0, 64 << 10),
        (Some(1 << 20), 1000, 512 << 10), // half a second of the rate
        (Some(u64::MAX), 10_000, 4 << 20),
    ] {
        let mut queue = network(rate, latency).delay_queue(start);
        assert_eq!(queue.room(), capacity, "{rate:?}");
        queue.push(vec![0; capacity + 1], start);
        assert_eq!(queue.room(), 0);
        queue.take(3);
        assert_eq!(queue.room(), 2);
    }
}

#[test]
fn what_a_closed_receiver_would_get_is_dropped() {
    let now = Instant::now();
    let mut queue = network(Some(1), 0).delay_queue(now);
    queue.push(vec![0; 64 << 10], now);
    queue.close();
    assert_eq!(queue.room(), 64 << 10);
    queue.push(b"more".to_vec(), now);
    queue.finish(ClosedBy::Fin, now);
    assert_eq!((queue.room(), queue.end(now)), (64 << 10, Some(ClosedBy::Fin)));
}
