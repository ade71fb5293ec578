//! What is counted of the requests of real builds.

use headstart_reapi::reapi;

use super::project;
use crate::testing::session::Change;
use crate::testing::world::id;
use crate::{Event, Mode};

#[test]
fn requests_are_counted_by_how_they_were_answered() {
    let base = "source base.h one \n install base.h usr/include/base.h";
    let user = "needs 0 \n source u.c u \n step u.o = u.c :: usr/include/base.h";
    let after = base.replace("one", "two");
    let change = Change::new(
        &project(&[base, user]),
        &project(&[&after, user]),
        Mode::Full,
    );
    let mut subaction = change.after[1].subactions[0].clone();
    let (element, action) = (id(1), subaction.action);
    let opened = || {
        let mut session = change.open(1);
        let answer = session.pending.remove(0);
        session.tell(answer);
        assert_eq!(session.executed, [action]);
        session
    };
    // It runs already, for three milliseconds when it is wanted.
    let mut session = opened();
    let wait = std::time::Duration::from_millis(2);
    session.now += wait;
    session.tell(Event::Wanted {
        element: element.clone(),
        action,
    });
    session.drain();
    subaction.answered = headstart_execution::Answered::Joined;
    session.tell(Event::Asked {
        element: element.clone(),
        subaction: subaction.clone(),
    });
    let account = session.primer.account(&element);
    assert_eq!((account.asked, account.joined, account.missed), (1, 1, 0));
    assert_eq!(account.saved, wait + std::time::Duration::from_millis(1));
    // It is done; a second request saves no more time.
    let mut session = opened();
    session.drain();
    subaction.answered = headstart_execution::Answered::Cached;
    for _ in 0..2 {
        session.tell(Event::Asked {
            element: element.clone(),
            subaction: subaction.clone(),
        });
    }
    let account = session.primer.account(&element);
    assert_eq!(
        (account.hit, account.hit_primed, account.saved),
        (2, 1, subaction.duration)
    );
    // It was predicted, but not begun.
    let mut session = change.open(0);
    session.drain();
    subaction.answered = headstart_execution::Answered::Executed;
    session.tell(Event::Asked {
        element: element.clone(),
        subaction: subaction.clone(),
    });
    let account = session.primer.account(&element);
    assert_eq!(
        (account.promoted, account.missed, account.misses),
        (1, 0, vec![])
    );
    // What fails can't be a hit.
    subaction.result = reapi::ActionResult {
        exit_code: 1,
        ..Default::default()
    }
    .into();
    session.tell(Event::Asked {
        element: element.clone(),
        subaction,
    });
    let account = session.primer.account(&element);
    assert_eq!(
        (account.asked, account.promoted, account.unsuccessful),
        (2, 1, 1)
    );
}
