package import Documents

/// What is wrong with a set of rank programs: facts, and a sentence.
package enum ProgramDefect: Error, Sendable, Hashable {
  /// A step of a rank's program.
  package struct Place: Sendable, Hashable, CustomStringConvertible {
    package let rank: Int
    /// Index into the rank's program.
    package let step: Int
    package let what: ProgramStep

    package var description: String { "rank \(rank) at step \(step) (\(what))" }
  }

  /// Not one program for each rank, in their order.
  case ranks(expected: Int, found: [Int])
  /// No stage holds a part of the model.
  case unowned(ModelPart, replica: Int, tensorIndex: Int)
  /// Two ranks that should hold different parts hold the same.
  case ownedTwice(ModelPart, ranks: [Int])
  /// A part is held by another stage than the layer ranges say.
  case wrongStage(ModelPart, rank: Int, stage: Int, expected: Int)
  /// Routed experts are held by a rank that no token is sent to for them.
  case misplaced(ModelPart, rank: Int)
  /// A step waits for one that does not precede it on another stream.
  case wait(Place, waitsFor: Int)
  /// A group that is not one of the mesh's for this kind of traffic.
  case noGroup(Place, group: [Int])
  /// A rank takes part in a collective of others.
  case notAMember(Place)
  /// Ranks of a group call for different collectives, or in different orders.
  case order(Place, other: Place)
  /// Ranks of a group call for the same collective of different sizes.
  case size(Place, other: Place)
  /// A rank of a group lacks a collective that another calls for.
  case missing(Place, onRank: Int)
  /// A collective of another size than its tensor has.
  case elements(Place, expected: Int)
  /// A message that its receiver does not wait for.
  case unreceived(Place)
  /// A wait for a message that nobody sends.
  case unsent(Place)
  /// A message to or from a rank that is not the neighbour in the pipeline.
  case neighbour(Place, expected: Int)
  /// A stage's passes are not those of the schedule.
  case schedule(rank: Int, position: Int, expected: PipelineStep?, found: PipelineStep?)
  /// A computation on a part that the rank does not hold.
  case foreign(Place, ModelPart)
  /// A piece of a pass is computed twice.
  case repeated(Place)
  /// A piece of a pass is not computed, or not where it belongs.
  case uncomputed(ModelPiece, ModelPart, rank: Int, pass: PipelineStep)
  /// A pass goes on where its recipe has another step; nil where it has no more.
  case notDue(Place, due: ProgramStep.Operation?)
  /// A collective of a pass is reduced, encoded or routed in another way than the recipe has it.
  case unlike(Place, expected: Collective)
  /// Gradients are averaged over another number of replicas than were summed, or not at all.
  case average(rank: Int, expected: Int, found: [Int])
  /// An outer step goes by the mean over another number of workers than are summed, or there is none.
  case outerMean(rank: Int, expected: [Int], found: [Int])
  /// The optimizer's and the outer steps of a round do not follow each other as they should.
  case round(rank: Int, position: Int, expected: Computation?, found: Computation?)
  /// What should be in flight beside all of a round is not begun before it.
  case notBeside(Place)
  /// Something that is done once an iteration is done more often, or never.
  case once(String, rank: Int, count: Int, expected: Int)
  /// Replicas exchange a tensor more or less often than their strategy says.
  case exchanges(Operand, CollectiveKind, Quantisation?, rank: Int, expected: Int, found: Int)
  /// A slice of the secondary copy is kept, used, dropped or outlived when it should not be.
  case secondary(Place)
  /// A part takes two steps in an iteration of zeroth-order training.
  case updatedTwice(Place)
  /// A part's step goes by the losses of another iteration than its visits do.
  case otherLosses(Place)
  /// A program that ends before this was done.
  case undone(ProgramStep.Operation, rank: Int)
  /// Weights are used that have not come from the host.
  case notUploaded(Place, ModelPart)
  /// Weights come from the host, or go there, more or less often than they are visited.
  case hostTransfers(ModelPart, rank: Int, uploads: Int, offloads: Int, expected: Int)
  /// A step that can run before what it needs.
  case unordered(Place, after: Place)
}

extension ProgramDefect: CustomStringConvertible {
  package var description: String {
    switch self {
    case .ranks(let expected, let found): "expected programs of ranks 0 to \(expected - 1), found \(found)"
    case .unowned(let part, let replica, let tensor):
      "\(part) is held by nobody in replica \(replica), tensor index \(tensor)"
    case .ownedTwice(let part, let ranks):
      "\(part) is held twice, by ranks \(ranks.map(String.init).joined(separator: " and "))"
    case .wrongStage(let part, let rank, let stage, let expected):
      "\(part) is on stage \(stage) (rank \(rank)), but belongs to stage \(expected)"
    case .misplaced(let part, let rank): "\(part) are on rank \(rank), where no token is sent for them"
    case .wait(let place, let wait):
      "\(place) waits for step \(wait), which does not precede it on another stream"
    case .noGroup(let place, let group):
      "\(place): ranks \(group.map(String.init).joined(separator: ", ")) are no group of the layout"
    case .notAMember(let place): "\(place) is not in the group"
    case .order(let place, let other): "different collectives in one group: \(place), but \(other)"
    case .size(let place, let other): "different sizes of one collective: \(place), but \(other)"
    case .missing(let place, let rank): "\(place) has no counterpart on rank \(rank)"
    case .elements(let place, let expected): "\(place): the tensor has \(expected) elements"
    case .unreceived(let place): "\(place) is received by nobody"
    case .unsent(let place): "\(place) is sent by nobody"
    case .neighbour(let place, let expected): "\(place): the neighbour in the pipeline is rank \(expected)"
    case .schedule(let rank, let position, let expected, let found):
      "pass \(position) of rank \(rank) is \(found.map { "\($0)" } ?? "missing"), but the schedule says "
        + (expected.map { "\($0)" } ?? "there is none")
    case .foreign(let place, let part): "\(place): the rank does not hold \(part)"
    case .repeated(let place): "\(place) is computed twice"
    case .uncomputed(let piece, let part, let rank, let pass):
      "\(piece.rawValue) of \(part) is not computed in \(pass) of rank \(rank)"
    case .notDue(let place, let due?): "\(place) comes where \(due) is due"
    case .notDue(let place, nil): "\(place) comes where no step of a pass is due"
    case .unlike(let place, let it):
      "\(place) should be a \(it.reduction) of \(it.elementByteCount)-byte elements by the route \(it.route)"
    case .average(let rank, let expected, let found):
      "rank \(rank) averages gradients over \(Self.list(found)) replicas, but \(expected) are summed"
    case .outerMean(let rank, let expected, let found):
      "rank \(rank) steps by the mean over \(Self.list(found)) workers, but \(Self.list(expected)) are summed"
    case .round(let rank, let position, let expected, let found):
      "step \(position) of the round of rank \(rank) is \(found.map { "\($0)" } ?? "missing"), but "
        + "\(expected.map { "\($0)" } ?? "nothing") is due"
    case .notBeside(let place): "\(place) is not begun before the round that it should be in flight beside"
    case .once(let what, let rank, let count, let expected):
      "rank \(rank): \(what) \(count) times in an iteration, not \(expected)"
    case .exchanges(let operand, let kind, let quantisation, let rank, let expected, let found):
      "rank \(rank): \(kind.rawValue) of \(operand)\(quantisation.map { " as \($0)" } ?? "") \(found) times in an iteration, "
        + "not \(expected)"
    case .secondary(let place):
      "\(place) does not fit the secondary weights, which are kept from their first gather to the optimizer's step"
    case .updatedTwice(let place): "\(place): the part has taken its step in this iteration"
    case .otherLosses(let place):
      "\(place): parts on the host take the last iteration's step when they come, all others this one's at its end"
    case .undone(let operation, let rank): "rank \(rank) ends without \(operation)"
    case .notUploaded(let place, let part): "\(place): the weights of \(part) have not come from the host"
    case .hostTransfers(let part, let rank, let uploads, let offloads, let expected):
      "rank \(rank): \(part) comes from the host \(uploads) times and goes there \(offloads) times in an iteration, not "
        + "\(expected) and 1"
    case .unordered(let place, let other): "\(place) does not wait for \(other)"
    }
  }

  private static func list(_ counts: [Int]) -> String {
    counts.isEmpty ? "no" : counts.map(String.init).joined(separator: ", ")
  }
}
