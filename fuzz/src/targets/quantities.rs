//! Durations, memory, CPU, names and keys: an input is one word. What is understood, written and read again is the same.

use std::fmt::Debug;

use evenkeel::model::name::{Key, Name};
use evenkeel::model::quantity::{Cpu, Memory};
use evenkeel::model::time::{Span, Timestamp};

/// Reads the word as each of them.
pub fn try_input(bytes: &[u8]) {
    let word = String::from_utf8_lossy(bytes).into_owned();
    if let Some(span) = there_and_back::<Span>(&word) {
        // Sums with any point in time hold.
        assert!(Timestamp(i64::MAX) + span >= Timestamp(i64::MAX));
        assert!(Timestamp(i64::MIN) - span <= Timestamp(i64::MIN));
    }
    there_and_back::<Memory>(&word);
    if let Some(cpu) = there_and_back::<Cpu>(&word) {
        assert!(cpu.nano() >= 0);
    }
    there_and_back::<Name>(&word);
    there_and_back::<Key>(&word);
}

fn there_and_back<T>(word: &str) -> Option<T>
where
    T: TryFrom<String, Error = String> + Into<String> + Clone + PartialEq + Debug,
{
    let value = T::try_from(word.to_string()).ok()?;
    let text: String = value.clone().into();
    assert_eq!(T::try_from(text.clone()).as_ref(), Ok(&value), "{word:?} was written as {text:?}");
    Some(value)
}
