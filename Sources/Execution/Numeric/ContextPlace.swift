import Documents

/// A rank's place among those that divide sequences: which tokens it has, and which its neighbours have.
///
/// A sequence is cut into 2·CP chunks, and rank i has chunks i and 2·CP − 1 − i, so that all have as many pairs of tokens to
/// attend to. Ranks that exchange parts of sequences for heads are neighbours: together they have four runs of chunks, or
/// two where they are all there are.
struct ContextPlace: Sendable, Equatable {
  let division: Strategy.ContextDivision
  /// Among all ranks that divide a sequence.
  let index: Int
  let sequenceLength: Int
  /// Of the rank's own tokens, ascending.
  let positions: [Int]

  /// - Precondition: twice as many chunks as ranks divide the sequence, if there are several.
  init(_ division: Strategy.ContextDivision, index: Int, sequenceLength: Int) {
    precondition(
      division.degree == 1 || sequenceLength % (2 * division.degree) == 0, "the sequence cannot be divided among ranks")
    self.division = division
    self.index = index
    self.sequenceLength = sequenceLength
    positions = Self.positions(ofRank: index, among: division.degree, sequenceLength: sequenceLength)
  }

  private static func positions(ofRank rank: Int, among degree: Int, sequenceLength: Int) -> [Int] {
    guard degree > 1 else { return Array(0..<sequenceLength) }
    let size = sequenceLength / (2 * degree)
    return [rank, 2 * degree - 1 - rank].flatMap { Array($0 * size..<($0 + 1) * size) }
  }

  /// Place among the neighbours that exchange parts of sequences for heads.
  var headIndex: Int { index % division.headDegree }
  /// Place among the ranks that share keys and values.
  var sequenceIndex: Int { index / division.headDegree }

  /// What a neighbour has.
  func positions(ofNeighbour neighbour: Int) -> [Int] {
    Self.positions(
      ofRank: sequenceIndex * division.headDegree + neighbour, among: division.degree, sequenceLength: sequenceLength)
  }

  /// What a group of neighbours has together, ascending: what each of them has of its heads after the exchange.
  ///
  /// - Parameter sequenceIndex: the group's place among those that share keys and values.
  func positions(ofGroup sequenceIndex: Int) -> [Int] {
    (0..<division.headDegree).flatMap {
      Self.positions(
        ofRank: sequenceIndex * division.headDegree + $0, among: division.degree, sequenceLength: sequenceLength)
    }.sorted()
  }
}
