//! A line of those who wait to be served, in which everybody's first stands beside everybody else's first.
//!
//! So many are served at once; whoever comes then waits. The next is taken from each owner in turn, so
//! however long one owner's line is, another's newest request waits for one of each and not for all. The
//! line of an owner has an end, and so has the whole: what finds no place is told so at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// A line for each owner `K`, served in turn.
#[derive(Debug)]
pub(crate) struct Line<K: Ord>(Mutex<Inner<K, oneshot::Sender<Turn<K>>>>);

/// The right to be served, passed on when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<K: Ord>(Option<Arc<Line<K>>>);

/// Why nobody waits any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoPlace {
    /// The owner's own line is full.
    Own,
    /// Too many wait, whoever they are.
    All,
}

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    /// Served at once.
    pub served: usize,
    /// Waiting, of one owner.
    pub own: usize,
    /// Waiting, of all.
    pub all: usize,
}

#[derive(Debug)]
struct Inner<K: Ord, T> {
    places: Places,
    free: usize,
    waiting: usize,
    lines: BTreeMap<K, VecDeque<T>>,
    /// Whose turn it is: each owner with a line once.
    ring: VecDeque<K>,
}

impl<K: Clone + Ord> Line<K> {
    pub(crate) fn new(places: Places) -> Self {
        Self(Mutex::new(Inner {
            places,
            free: places.served,
            waiting: 0,
            lines: BTreeMap::new(),
            ring: VecDeque::new(),
        }))
    }

    /// Waits for a turn.
    ///
    /// # Errors
    ///
    /// [`NoPlace`] at once, where too many wait already.
    pub(crate) async fn turn(self: &Arc<Self>, who: &K) -> Result<Turn<K>, NoPlace> {
        let waiting = {
            let mut inner = self.lock();
            if inner.free > 0 {
                inner.free -= 1;
                return Ok(Turn(Some(Arc::clone(self))));
            }
            let (sender, receiver) = oneshot::channel();
            inner.push(who, sender)?;
            receiver
        };
        // A turn that is passed on is never lost: dropped unread, it goes to the next.
        waiting.await.map_err(|_| NoPlace::All)
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K, oneshot::Sender<Turn<K>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord> Drop for Turn<K> {
    fn drop(&mut self) {
        let Some(line) = self.0.take() else { return };
        loop {
            let next = {
                let mut inner = line.0.lock().unwrap_or_else(PoisonError::into_inner);
                let next = inner.pop();
                inner.free += usize::from(next.is_none());
                next
            };
            let Some(next) = next else { return };
            // Whoever left the line while it waited is passed over.
            match next.send(Self(Some(Arc::clone(&line)))) {
                Ok(()) => return,
                Err(mut turn) => turn.0 = None,
            }
        }
    }
}

impl<K: Ord, T> Inner<K, T> {
    fn push(&mut self, who: &K, item: T) -> Result<(), NoPlace>
    where
        K: Clone,
    {
        if self.waiting >= self.places.all {
            return Err(NoPlace::All);
        }
        let line = self.lines.entry(who.clone()).or_default();
        if line.len() >= self.places.own {
            return Err(NoPlace::Own);
        }
        if line.is_empty() {
            self.ring.push_back(who.clone());
        }
        line.push_back(item);
        self.waiting += 1;
        Ok(())
    }

    fn pop(&mut self) -> Option<T> {
        let who = self.ring.pop_front()?;
        let line = self.lines.get_mut(&who)?;
        let item = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&who);
        } else {
            self.ring.push_back(who);
        }
        self.waiting -= usize::from(item.is_some());
        item
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const PLACES: Places = Places { served: 1, own: 100, all: 150 };

    //= REQ-61
    #[test]
    fn a_long_line_does_not_stand_before_a_short_one() {
        let mut order = Inner {
            places: PLACES,
            free: 0,
            waiting: 0,
            lines: BTreeMap::new(),
            ring: VecDeque::new(),
        };
        for n in 0..100 {
            order.push(&"x", ("x", n)).unwrap();
        }
        assert_eq!(order.push(&"x", ("x", 100)), Err(NoPlace::Own));
        order.push(&"y", ("y", 0)).unwrap();
        order.push(&"z", ("z", 0)).unwrap();
        order.push(&"y", ("y", 1)).unwrap();
        let served: Vec<_> = std::iter::from_fn(|| order.pop()).take(6).collect();
        assert_eq!(served, [("x", 0), ("y", 0), ("z", 0), ("x", 1), ("y", 1), ("x", 2)]);
        for n in 0..53 {
            order.push(&"y", ("y", n)).unwrap();
        }
        assert_eq!(order.push(&"newcomer", ("n", 0)), Err(NoPlace::All));
        assert_eq!(std::iter::from_fn(|| order.pop()).count(), 150);
        assert!(order.ring.is_empty() && order.lines.is_empty() && order.waiting == 0);
    }

    #[tokio::test]
    async fn a_turn_that_nobody_waits_for_any_more_goes_on_to_the_next() {
        let line = Arc::new(Line::new(PLACES));
        let first = line.turn(&"x").await.unwrap();
        let (gone, next) = (Arc::clone(&line), Arc::clone(&line));
        let gone = tokio::spawn(async move { gone.turn(&"x").await.map(drop) });
        let next = tokio::spawn(async move { next.turn(&"y").await.map(drop) });
        while line.lock().waiting < 2 {
            tokio::task::yield_now().await;
        }
        gone.abort();
        assert!(gone.await.is_err());
        drop(first);
        next.await.unwrap().unwrap();
        // Nothing leaked: the one place is free again.
        assert_eq!(line.lock().free, 1);
        drop(line.turn(&"z").await.unwrap());
    }
}
