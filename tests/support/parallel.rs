//! Independent work on all cores: for tests that try the same on very many things.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What `run` says of each, in their order.
pub fn on_all_cores<T: Sync, R: Send>(all: &[T], run: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, said) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(all.len())));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, |n| n.get()) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(one) = all.get(number) else { return };
                    let what = run(one);
                    said.lock().expect("no thread panics while it holds this").push((number, what));
                }
            });
        }
    });
    let mut said = said.into_inner().expect("no thread has panicked");
    said.sort_by_key(|(number, _)| *number);
    said.into_iter().map(|(_, what)| what).collect()
}
