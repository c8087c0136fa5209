/// One message of a collective: consecutive elements from one rank to another, in one step.
package struct CollectiveTransfer: Sendable, Hashable {
  /// What the receiver does with the elements.
  package enum Action: Sendable, Hashable {
    /// Overwrite its own.
    case copy
    /// Add them to its own.
    case add
    /// Keep the larger of them and its own.
    case maximum
    /// Lay them aside, by sender, until all ranks' have come (``CollectiveSchedule/additionSteps``); then add all up in
    /// the order of the ranks, its own in its place.
    case collect
  }

  /// The round, counted from 0. Messages of one round are independent: they read what the round before left.
  package let stepIndex: Int

  /// The sender, a rank of the group.
  package let fromRank: Int

  /// The receiver, a rank of the group other than the sender.
  package let toRank: Int

  /// Which elements of the sender's buffer are sent; never empty.
  package let elementRange: Range<Int>

  /// Where the first element goes in the receiver's buffer. It is `elementRange.lowerBound` except in all-to-all,
  /// where send and receive buffers differ.
  package let destinationIndex: Int

  /// What the receiver does with the elements.
  package let action: Action
}
