/* One act, asked for by several workers, each for a job of its own that comes to it, on a world that counts.
   docs/exactly-once.md says it in words.

   A worker may die before each of its steps, or stand still for any time between two of them. The lease may lapse at
   any moment, whoever lives. The server may lose everything that is not on its disk. Messages come as often as they
   like. What is proved: the act is done at most once; whoever is told that it was done, it was; and if it was done, the
   server says so or is in doubt.

   MODE 0: a handler that can say nothing afterwards; 1: one that can look what became of the act; 2: one that can look,
   on a world that gives a second act under the same key the answer of the first; 3: one that can look, on a world that
   says no to a second, which met a condition that the first has broken.
   WRONG are mistakes that must be found: 1 an intent that lapsed is done again; 2 a fence that a server can give twice;
   3 an intent that is not on disk; 4 an act that has not happened yet is taken for one that never will; 5 a no to a
   second attempt is taken for a no to the act, 6 each job has a key of its own for the world. */

#ifndef MODE
#define MODE 1
#endif
#ifndef WRONG
#define WRONG 0
#endif
#ifndef WORKERS
#define WORKERS 2
#endif
#define DELIVERIES 2
#define DEATHS 2
#define LOSSES 2
#define CLAIMS 8

#define key (WRONG == 6 -> _pid : 0)
#define held (state == claimed || state == intended)
#define stale (state == claimed || (WRONG == 1 && state == intended))
#define free (state == none || state == notdone || (stale && lapsed))

mtype = { none, claimed, intended, doubt, done, notdone };

mtype state = none, onDisk = none;
byte fence = 0, fenceOnDisk = 0;   /* who holds the newest claim; another one with each claim */
byte claims = 0, claimsOnDisk = 0;
bool lapsed = false;
byte epoch = 0;                    /* rises when the server loses what is not on disk */
byte effects = 0;                  /* what the world has counted */
byte under = 0;                    /* the key that it knows it by */
bool about[CLAIMS];                /* whether the holder of a fence may still come to act */
byte deaths = 0;
bool freed = false, freedOnDisk = false; /* whether another than its holder has said that it had not happened */

inline dies() { atomic { (deaths < DEATHS); deaths++; about[mine] = false; goto dead } }

/* Only the newest fence may end an act, and what is done stays done. */
inline end(as) {
  atomic {
    if
    :: fence == mine && as == done && (state == intended || state == doubt || state == notdone) -> state = done
    :: fence == mine && as == notdone && (held || state == doubt) -> state = notdone
    :: fence == mine && as == doubt && (state == intended || state == doubt) -> state = doubt
    :: else
    fi
  }
}

inline act() {
  atomic {
    if
    :: MODE >= 2 && effects == 1 && under == key -> refused = (MODE == 3)
    :: else -> effects++; under = key; refused = false
    fi;
    about[mine] = false;
    assert(effects <= 1)
  }
}

proctype worker() {
  byte mine = 0, seen = 0, judged = 0, delivery = 0;
  bool follows = false, refused = false;

again:
  atomic { mine = 0; judged = 0; seen = 0; follows = false; refused = false }
  if
  :: delivery == DELIVERIES -> goto over
  :: delivery < DELIVERIES -> delivery++
  fi;
claim:
  atomic {
    if
    :: state == done -> assert(effects == 1); goto again
    :: held && !lapsed -> (!held || lapsed); goto claim
    :: state == intended && lapsed && WRONG != 1 -> state = doubt; judged = fence; goto judge
    :: state == doubt -> judged = fence; goto judge
    :: free && claims < CLAIMS - 1 ->
         claims++;
         mine = (WRONG == 2 -> claims - epoch : claims);   /* a number that the server counts twice */
         fence = mine; about[mine] = true; state = claimed; lapsed = false; seen = epoch;
         follows = freed
    :: free && claims == CLAIMS - 1 -> goto over           /* enough of them */
    fi
  }
  if :: dies() :: skip fi;
  atomic {
    if
    :: fence == mine && held -> state = intended; seen = epoch
    :: else -> about[mine] = false; goto again
    fi
  }
  if :: dies() :: skip fi;
  atomic {                                                 /* WAITAOF: it is on disk, or the connection is lost */
    if
    :: WRONG == 3 -> skip
    :: WRONG != 3 && seen == epoch -> onDisk = state; fenceOnDisk = fence; claimsOnDisk = claims;
         freedOnDisk = freed
    :: WRONG != 3 && seen != epoch -> about[mine] = false; goto retreat
    fi
  }
  if :: dies() :: skip fi;
  if                                                       /* its own clock: too late to begin? */
  :: lapsed -> about[mine] = false; goto retreat
  :: skip                                                  /* it may stand still right here */
  fi;
  if :: dies() :: skip fi;
  act();
  if :: dies() :: skip fi;
  if
  :: !refused -> end(done); goto again
  :: !refused || follows && WRONG != 5 -> end(doubt); judged = mine; goto judge  /* the answer was lost, or is a no */
  :: refused && (!follows || WRONG == 5) -> atomic {              /* it ends as: it has not happened */
       assert(!(fence == mine && (state == intended || state == doubt || state == notdone)))
     }; goto again
  fi;
retreat:
  end(notdone);
  goto again;
judge:
  atomic {
    if
    :: MODE == 0 || state != doubt || fence != judged -> goto again
    :: MODE != 0 && state == doubt && fence == judged && effects == 1 -> state = done; goto again
    :: MODE != 0 && state == doubt && fence == judged && effects == 0 ->
         if
         :: MODE >= 2 || WRONG == 4 -> state = notdone; freed = true; goto claim
         :: else -> goto again
         fi
    fi
  }
dead:
  goto again;
over:
  skip
}

/* The server's clock, its disk, and its power. */
proctype server() {
  byte losses = 0;
  do
  :: atomic { held && !lapsed -> lapsed = true }
  :: atomic { onDisk != state || fenceOnDisk != fence -> onDisk = state; fenceOnDisk = fence; claimsOnDisk = claims;
              freedOnDisk = freed }
  :: atomic { losses < LOSSES -> losses++; epoch++; state = onDisk; fence = fenceOnDisk; freed = freedOnDisk }
  :: timeout -> break
  od
}

/* An operator finds out, and says so: not done only when nobody is about to do it. */
proctype operator() {
  do
  :: atomic { state == doubt && effects == 1 -> state = done }
  :: atomic { state == doubt && effects == 0 && !about[fence] -> state = notdone; freed = true }
  :: timeout -> break
  od
}

/* If it was done, the server says so or is in doubt. (Where the world refuses a second, it may be done once more.) */
proctype monitor() {
  do
  :: atomic { MODE < 2 && effects == 1 && (state == none || state == claimed || state == notdone) -> assert(false) }
  :: timeout -> break
  od
}

init {
  byte started = 0;
  atomic {
    do
    :: started < WORKERS -> run worker(); started++
    :: else -> break
    od;
    run server();
    run operator();
    run monitor()
  }
}
