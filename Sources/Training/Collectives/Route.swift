/// How the messages of a reduction or a gather are routed. The sum of bytes over all ranks is the same for all of them;
/// who sends to whom, and in which order numbers are added, is not.
package enum Route: Sendable, Hashable {
  /// Every chunk travels once round the ring of all ranks, in n − 1 steps.
  case ring

  /// A ring among neighbours at each level in turn, innermost first: `degrees` are the ranks of each level's rings, and
  /// multiply to n. Rank `i₀ + d₀·(i₁ + d₁·(i₂ + …))` is number iₗ of its ring at level l. A
  /// reduction narrows what each rank is responsible for from level to level, so the outer, slower
  /// levels carry the n/d part only; a gather is the same backwards.
  case hierarchical(degrees: [Int])

  /// The whole tensor goes up a binomial tree, summed on the way, and down again: ⌈log₂ n⌉ steps each. Of an all-reduce only.
  case tree

  /// Every rank sends each chunk straight to its owner, which adds up what it has from all ranks in the order of the
  /// ranks: the order of additions depends on nothing else, so results agree bit for bit whatever the chunks.
  case direct

  /// The same at each level in turn, innermost first, of a hierarchy as in ``hierarchical(degrees:)``:
  /// what a level's ranks add up, they add in the order of their numbers. A sum over all ranks made
  /// this way has the same bits as one made by a reduction among the ranks of the innermost level, then
  /// one of its results among those of the next, and so on.
  case directByLevel(degrees: [Int])
}
