//! What a seed plays: how many of whom, and what befalls them. Every seed draws its own, so that rare meetings are
//! common in some.

use super::actors::Role;
use super::random::Random;
use crate::repository::Rule;

#[derive(Clone, Debug)]
pub struct Mix {
    /// How often each role is drawn, in the order of [`Role::ALL`].
    weights: [u64; 6],
    /// Different contents of files that there are: few, so that everybody needs what everybody else needs.
    pub contents: u64,
    /// Actors at once.
    pub crowd: usize,
    /// One step in so many kills.
    pub kill: u64,
    /// One change in so many happens again later.
    pub again: u64,
    /// One prune in so many gives everybody up who is not itself.
    pub impatience: u64,
    /// One read in so many is a step; lists, puts and deletes always are.
    pub reads: u64,
    /// The longest run of steps of one actor, as a power of two.
    pub burst: u64,
    /// One of so many who are about to change something stands still for a while.
    pub still: u64,
    /// Of those who are about to make one of these changes, every second.
    pub critical: &'static [&'static str],
    pub steps: u64,
}

impl Mix {
    pub fn draw(random: &mut Random) -> Self {
        let mut weights = [6, 4, 3, 1, 1, 1];
        for weight in &mut weights {
            *weight *= [0, 1, 1, 2, 4][random.below(5) as usize];
        }
        // Without these nothing can be lost.
        weights[0] = weights[0].max(3);
        weights[1] = weights[1].max(2);
        Self {
            weights,
            contents: 4 + random.below(30),
            crowd: 2 + random.below(5) as usize,
            kill: [100, 400, 2000, u64::MAX][random.below(4) as usize],
            again: [30, 200, u64::MAX][random.below(3) as usize],
            impatience: [1, 3, 20][random.below(3) as usize],
            reads: [1, 8, 64][random.below(3) as usize],
            burst: 3 + random.below(7),
            still: [3, 8, 40][random.below(3) as usize],
            critical: &[],
            steps: 300 + random.below(1200),
        }
    }

    /// A mix in which what a rule prevents comes about soon.
    pub fn without(rule: Rule, random: &mut Random) -> Self {
        let mut mix = Self::draw(random);
        mix.kill = u64::MAX;
        mix.again = u64::MAX;
        mix.reads = 64;
        mix.steps = 600 + random.below(600);
        mix.burst = 2 + random.below(7);
        mix.impatience = 20;
        mix.still = 5;
        mix.crowd = 3 + random.below(4) as usize;
        mix.critical = match rule {
            Rule::Relist => &["put sessions/", "delete packs/"],
            Rule::Orphans => &["put index/", "delete packs/"],
            Rule::Fate | Rule::Held => &["put annotations/"],
            _ => &["put snapshots/", "delete packs/"],
        };
        mix.weights = match rule {
            Rule::Held => [1, 2, 5, 0, 5, 0],
            Rule::Fate => [2, 3, 4, 4, 0, 0],
            Rule::Orphans | Rule::CommitOnce => [8, 6, 1, 0, 0, 4],
            Rule::WaitForget | Rule::LiveParent => [8, 6, 6, 0, 0, 0],
            _ => [8, 6, 3, 0, 0, 0],
        };
        mix
    }

    pub fn role(&self, random: &mut Random) -> Role {
        let mut at = random.below(self.weights.iter().sum());
        for (role, weight) in Role::ALL.into_iter().zip(self.weights) {
            if at < weight {
                return role;
            }
            at -= weight;
        }
        Role::Write
    }
}
