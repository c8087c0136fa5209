/// What a collective operation does with a tensor of S elements over n ranks.
///
/// Ranks are 0…n−1 inside the group. The tensor is cut into n chunks, chunk k belonging to rank k
/// (``CollectiveSchedule/chunk(_:)``).
package enum CollectiveKind: String, Sendable, Hashable, CaseIterable {
  /// Every rank starts with its own chunk in place and ends with all of them.
  case allGather = "all-gather"

  /// Every rank starts with a whole tensor and ends with its own chunk of their sum; the rest of its tensor holds
  /// partial sums.
  case reduceScatter = "reduce-scatter"

  /// Every rank starts with a whole tensor and ends with the whole sum.
  case allReduce = "all-reduce"

  /// Rank r starts with a send buffer of S elements and ends with chunk r of every rank's send buffer, in rank order,
  /// in a receive buffer of n · (length of chunk r) elements.
  case allToAll = "all-to-all"

  /// Every rank starts with S elements of its own and ends with those of the rank before it, the last one's coming to the
  /// first.
  case shift

  /// The same the other way: with those of the rank after it.
  case shiftBack = "shift back"
}
