//! The pool: reuse, accounting, limits, refusals, and that everything comes back.

use std::error::Error as _;
use std::thread;

use expect_test::expect;
use proptest::prelude::*;

use super::Fake;
use crate::backend::memory::pool::rounded;
use crate::backend::memory::{Pool, Purpose, largest_batch};
use crate::error::ErrorKind;

const MIB: usize = 1 << 20;

fn pool(memory: usize, limit: Option<usize>) -> (Fake, Pool<Fake>) {
    let fake = Fake::new(memory);
    (fake.clone(), Pool::new(fake, limit))
}

#[test]
fn a_dropped_block_is_given_out_again() {
    let (fake, pool) = pool(MIB, None);
    let first = pool.uninitialised(1000, Purpose::Arena).unwrap();
    let number = first.raw().0;
    assert_eq!((first.bytes(), first.occupied(), first.purpose()), (1000, 1024, Purpose::Arena));
    let shared = first.clone();
    drop(first);
    assert_eq!(pool.statistics().cached, 0, "a clone still holds it");
    drop(shared);
    assert_eq!(pool.statistics().cached, 1024);
    let again = pool.uninitialised(900, Purpose::Output).unwrap();
    assert_eq!((again.raw().0, again.bytes(), again.occupied()), (number, 900, 1024));
    assert_eq!(fake.calls(), ["allocate 1024"]);
    let other = pool.uninitialised(900, Purpose::Output).unwrap();
    assert_ne!(other.raw().0, number);
}

#[test]
fn a_block_is_reused_where_it_wastes_at_most_a_quarter_and_the_smallest_first() {
    let (fake, pool) = pool(100 * MIB, None);
    let blocks = [12, 10, 20].map(|n| pool.uninitialised(n * MIB, Purpose::Arena).unwrap());
    drop(blocks);
    fake.calls();
    let nine = pool.uninitialised(9 * MIB, Purpose::Arena).unwrap();
    assert_eq!(nine.occupied(), 10 * MIB);
    let ten = pool.uninitialised(10 * MIB, Purpose::Arena).unwrap();
    assert_eq!(ten.occupied(), 12 * MIB);
    assert!(fake.calls().is_empty());
    let fifteen = pool.uninitialised(15 * MIB, Purpose::Arena).unwrap();
    assert_eq!((fifteen.occupied(), pool.statistics().cached), (16 * MIB, 20 * MIB));
    assert_eq!(fake.calls(), [format!("allocate {}", 16 * MIB)]);
}

#[test]
fn zeroed_blocks_are_zeroed_on_the_device_new_or_not() {
    let (fake, pool) = pool(MIB, None);
    drop(pool.zeroed(700, Purpose::State).unwrap());
    drop(pool.zeroed(650, Purpose::State).unwrap());
    drop(pool.uninitialised(650, Purpose::Arena).unwrap());
    assert_eq!(fake.calls(), ["allocate 768", "zero 0..768 of 0", "zero 0..768 of 0"]);
}

#[test]
fn an_empty_block_is_a_block() {
    let (fake, pool) = pool(MIB, None);
    let empty = pool.zeroed(0, Purpose::Input).unwrap();
    assert_eq!((empty.bytes(), empty.occupied(), fake.outstanding()), (0, 512, 512));
}

#[test]
fn statistics_are_exact_and_print_as_a_table() {
    let (_, pool) = pool(100 * MIB, Some(64 * MIB));
    let state = pool.zeroed(3_000_001, Purpose::State).unwrap();
    drop(pool.uninitialised(9 * MIB, Purpose::Arena).unwrap());
    let arena = pool.uninitialised(9 * MIB - 7, Purpose::Arena).unwrap();
    let input = pool.zeroed(3136, Purpose::Input).unwrap();
    drop(pool.zeroed(100, Purpose::Constant).unwrap());
    let statistics = pool.statistics();
    assert_eq!(statistics.total.in_use, 3_000_001 + 9 * MIB - 7 + 3136);
    assert_eq!(statistics.total.peak, 3_000_001 + 9 * MIB - 7 + 3136 + 100, "with the constant");
    assert_eq!(statistics.total.occupied, state.occupied() + arena.occupied() + input.occupied());
    assert_eq!((statistics.cached, statistics.held()), (512, statistics.total.occupied + 512));
    assert_eq!((statistics.of(Purpose::Arena).from_device, statistics.of(Purpose::Arena).from_pool), (1, 1));
    assert_eq!((statistics.of(Purpose::Constant).in_use, statistics.of(Purpose::Constant).peak), (0, 100));
    expect![[r#"
        memory     blocks      in use    occupied        peak  from device  from pool
        state           1     2.9 MiB     3.0 MiB     2.9 MiB            1          0
        arena           1     9.0 MiB    10.0 MiB     9.0 MiB            1          1
        input           1     3.1 KiB     3.5 KiB     3.1 KiB            1          0
        constant        0         0 B         0 B       100 B            1          0
        total           3    11.9 MiB    13.0 MiB    11.9 MiB            4          1
        cached 512 B, held 13.0 MiB of at most 64.0 MiB"#]]
    .assert_eq(&statistics.to_string());
    pool.reset_peak();
    let statistics = pool.statistics();
    assert_eq!(statistics.total.peak, statistics.total.in_use);
    assert_eq!(statistics.of(Purpose::Constant).peak, 0);
}

#[test]
fn everything_goes_back_to_the_device() {
    let (fake, pool) = pool(MIB, None);
    let kept = pool.zeroed(5000, Purpose::State).unwrap();
    drop(pool.zeroed(9000, Purpose::Arena).unwrap());
    assert_eq!(fake.outstanding(), 5120 + 10240);
    drop(pool);
    assert_eq!(fake.outstanding(), 5120, "only what outlives the pool");
    let clone = kept.clone();
    drop(kept);
    assert_eq!(clone.raw().0, 0, "still usable");
    thread::spawn(move || drop(clone)).join().unwrap();
    assert_eq!(fake.outstanding(), 0);
}

#[test]
fn trimming_gives_back_what_is_cached() {
    let (fake, pool) = pool(MIB, None);
    let kept = pool.zeroed(512, Purpose::State).unwrap();
    drop([600, 700].map(|n| pool.uninitialised(n, Purpose::Output).unwrap()));
    assert_eq!(pool.available(), Some(MIB - 512));
    assert_eq!(pool.trim(), 640 + 768);
    assert_eq!((fake.outstanding(), pool.statistics().cached, pool.trim()), (512, 0, 0));
    assert_eq!(pool.available(), Some(MIB - 512));
    drop(kept);
}

#[test]
fn a_limit_is_kept_before_the_device_is_asked() {
    let (fake, pool) = pool(100 * MIB, Some(10_000));
    let kept = pool.zeroed(5000, Purpose::State).unwrap();
    assert_eq!(pool.available(), Some(10_000 - 5120));
    fake.calls();
    let error = pool.zeroed(5000, Purpose::Arena).unwrap_err();
    assert_eq!((error.kind(), fake.calls().len()), (ErrorKind::Memory, 0));
    expect!["fake:0 is out of memory within the limit of 9.8 KiB: 4.9 KiB asked for (arena), 5.0 KiB in use, 0 B cached, 100.0 MiB of 100.0 MiB free; use a smaller batch or model, or raise the limit"].assert_eq(&error.to_string());
    // What is cached counts, and makes way.
    drop(pool.zeroed(4096, Purpose::Output).unwrap());
    fake.calls();
    let other = pool.uninitialised(2048, Purpose::Output).unwrap();
    assert_eq!(fake.calls(), ["free 4096", "allocate 2048"]);
    assert_eq!(pool.statistics().held(), kept.occupied() + other.occupied());
}

#[test]
fn a_limit_can_be_set_later_and_trims_what_is_cached() {
    let (fake, pool) = pool(1 << 20, None);
    let kept = pool.uninitialised(1024, Purpose::State).unwrap();
    drop(pool.uninitialised(4096, Purpose::Arena).unwrap());
    pool.set_limit(Some(2048));
    assert_eq!((fake.outstanding(), pool.statistics().cached, pool.available()), (1024, 0, Some(1024)));
    assert!(pool.uninitialised(2048, Purpose::Arena).is_err());
    pool.set_limit(None);
    assert!(pool.uninitialised(2048, Purpose::Arena).is_ok());
    drop(kept);
}

#[test]
fn a_request_that_rounding_takes_beyond_the_limit_blames_the_limit() {
    let (_, pool) = pool(MIB, Some(1000));
    let error = pool.zeroed(1000, Purpose::Input).unwrap_err().to_string();
    assert!(error.contains("raise the limit"), "{error}");
}

#[test]
fn a_refusal_trims_and_asks_once_more() {
    let (fake, pool) = pool(10 * MIB, None);
    let kept = pool.uninitialised(2 * MIB, Purpose::State).unwrap();
    drop(pool.uninitialised(4 * MIB, Purpose::Arena).unwrap());
    fake.calls();
    let arena = pool.uninitialised(8 * MIB, Purpose::Arena).unwrap();
    let [small, large] = [4 * MIB, 8 * MIB];
    assert_eq!(fake.calls(), [format!("refuse {large}"), format!("free {small}"), format!("allocate {large}")],);
    drop(arena);
    let error = pool.uninitialised(12 * MIB, Purpose::Workspace).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Memory);
    assert_eq!(error.source().unwrap().to_string(), "FAKE_OUT_OF_MEMORY");
    expect!["fake:0 is out of memory: 12.0 MiB asked for (workspace), 2.0 MiB in use, 0 B cached, 8.0 MiB of 10.0 MiB free; use a smaller batch or model, or end other programs that use the device"].assert_eq(&error.to_string());
    let refused = format!("refuse {}", 12 * MIB);
    assert_eq!(fake.calls(), [refused.clone(), format!("free {large}"), refused.clone()]);
    pool.uninitialised(12 * MIB, Purpose::Workspace).unwrap_err();
    assert_eq!(fake.calls(), [refused], "nothing to trim, nothing to ask again for");
    drop(kept);
    assert_eq!(pool.statistics().total.blocks, 0);
}

#[test]
fn other_faults_of_the_device_are_handed_on_and_cost_nothing() {
    let (fake, pool) = pool(MIB, None);
    drop(pool.uninitialised(512, Purpose::State).unwrap());
    fake.inside().broken = true;
    let error = pool.zeroed(4096, Purpose::State).unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Device, "fake:0 fell off the bus"));
    let error = pool.zeroed(512, Purpose::State).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Device, "zeroing failed");
    let statistics = pool.statistics();
    assert_eq!((statistics.total.in_use, statistics.cached), (0, 512));
}

#[test]
fn sizes_beyond_all_memory_are_errors() {
    let (fake, pool) = pool(MIB, None);
    for bytes in [usize::MAX, usize::MAX - MIB, usize::MAX / 2] {
        let error = pool.zeroed(bytes, Purpose::Arena).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Memory);
    }
    assert_eq!(fake.outstanding(), 0);
}

#[test]
fn blocks_are_dropped_from_any_thread() {
    let (fake, pool) = pool(64 * MIB, None);
    let shared = pool.uninitialised(4096, Purpose::State).unwrap();
    thread::scope(|scope| {
        for seed in 0..8_usize {
            let (pool, shared) = (&pool, shared.clone());
            scope.spawn(move || {
                let mut kept = vec![shared];
                for i in 0..200 {
                    kept.push(pool.uninitialised((seed * 311 + i * 97) % 5000, Purpose::Output).unwrap());
                    if i % 3 == 2 {
                        kept.swap_remove((seed + i) % kept.len());
                    }
                }
                let rest = kept.split_off(kept.len() / 2);
                thread::spawn(move || drop(rest)).join().unwrap();
            });
        }
    });
    let statistics = pool.statistics();
    assert_eq!((statistics.total.blocks, statistics.total.in_use), (1, 4096));
    assert_eq!(statistics.of(Purpose::Output).from_device + statistics.of(Purpose::Output).from_pool, 1600);
    assert_eq!(fake.outstanding(), statistics.held());
    drop(shared);
    drop(pool);
    assert_eq!(fake.outstanding(), 0);
}

#[test]
fn sizes_go_in_four_steps_between_powers_of_two_and_then_in_pages() {
    let sizes = |from: usize, to: usize, step: usize| {
        let mut sizes: Vec<usize> = (from..=to).step_by(step).map(|n| rounded(n).unwrap()).collect();
        sizes.dedup();
        sizes
    };
    assert_eq!(sizes(0, 1024, 1), [512, 640, 768, 896, 1024]);
    assert_eq!(sizes(MIB, 2 * MIB, 1024), [4, 5, 6, 7, 8].map(|n| n * MIB / 4));
    assert_eq!(sizes(32 * MIB, 40 * MIB, 4096), [32, 34, 36, 38, 40].map(|n| n * MIB));
}

#[test]
fn the_largest_batch_is_where_the_next_does_not_fit() {
    assert_eq!(largest_batch(1000, |batch| 100 + 9 * batch), Some(100));
    assert_eq!(largest_batch(108, |batch| 100 + 9 * batch), None);
    assert_eq!(largest_batch(109, |batch| 100 + 9 * batch), Some(1));
    assert_eq!(largest_batch(7, |_| 7), Some(1 << 30), "memory that does not depend on the batch");
    let asked = std::cell::Cell::new(0);
    largest_batch(1 << 40, |batch| {
        asked.set(asked.get() + 1);
        batch << 20
    });
    assert!(asked.get() <= 42, "{} questions for 2^20", asked.get());
}

proptest! {
    #[test]
    fn rounding_wastes_little(bytes in prop_oneof![0..5000_usize, 0..40 * MIB, 0..1_usize << 40]) {
        let size = rounded(bytes).unwrap();
        prop_assert!(size >= bytes.max(512) && size.is_multiple_of(128));
        prop_assert_eq!(rounded(size), Some(size));
        if bytes > 512 {
            prop_assert!((size - bytes) * 4 < bytes && size - bytes < 2 * MIB);
        }
    }

    #[test]
    fn the_largest_batch_is_that_of_a_scan(free in 0..4000_usize, steps in prop::collection::vec(0..100_usize, 1..60)) {
        let last = steps.len();
        // Batches beyond the steps never fit.
        let bytes_of = |batch: usize| if batch > last { usize::MAX } else { steps[..batch].iter().sum() };
        let scan = (1..=last).take_while(|batch| bytes_of(*batch) <= free).last();
        prop_assert_eq!(largest_batch(free, bytes_of), scan);
    }
}
