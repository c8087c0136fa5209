import Costing
import Documents
import JSONText
import TestSupport
import Testing

@testable import Search

/// `verify` asks a plan's question again: nothing that a plan states can be changed unnoticed.
@Suite struct VerificationTests {
  /// A question whose plan has what others have not.
  struct Question: Sendable, CustomTestStringConvertible {
    let what: String
    let cluster: String
    let model: String
    let globalBatch: Int
    let fixed: String
    var tolerance: Double?
    var productTolerance: Double?
    var framework: String?
    var testDescription: String { what }

    func search(repeatedStop: (stepCount: Int, interruption: PlanSearch.Interruption)? = nil) throws -> PlanSearch {
      let model = try CostModel(
        cluster: Shipped.catalog.cluster(cluster),
        job: TrainingJob(
          model: Shipped.catalog.model(model), sequenceLength: 1_024, globalBatch: globalBatch,
          precision: cluster.hasPrefix("v100") ? .fp16 : .bf16))
      return PlanSearch(
        model: model, pattern: try StrategyPattern(text: fixed, source: "fixed"),
        allowance: Allowance(quantisationTolerance: tolerance, productTolerance: productTolerance),
        capabilities: framework.flatMap(Capabilities.named),
        options: .init(resultCount: 3, margin: 0.01, repeatedStop: repeatedStop))
    }
  }

  static let questions = [
    Question(
      what: "a pipeline", cluster: "dgx-a100-1", model: "megatron-22b", globalBatch: 16, fixed: "pipeline=4",
      framework: "megatron-lm"),
    Question(
      what: "shard levels", cluster: "frontier-16", model: "gpt2", globalBatch: 256,
      fixed: "tensor=1,pipeline=1,weight_shards=2,gradient_shards=8"),
    Question(
      what: "quantisation", cluster: "v100-edr-16", model: "gpt2", globalBatch: 256,
      fixed: "tensor=1,pipeline=1,zero_stage=3,quantise_weights=true", tolerance: 0.2),
    Question(
      what: "narrower products", cluster: "dgx-h100-1", model: "llama-3-8b", globalBatch: 16, fixed: "pipeline=1",
      productTolerance: 0.06, framework: "megatron-lm"),
    Question(
      what: "measured links", cluster: "a100-hdr-16", model: "gpt2", globalBatch: 64, fixed: "pipeline=4,tensor=1"),
  ]

  @Test(arguments: questions) func noPlaceOfAnAnswerCanBeChanged(question: Question) throws {
    try expectNoMutationIsAccepted(question.search())
  }

  @Test func noPlaceOfAnAnswerOnMixedDevicesCanBeChanged() throws {
    // A seed whose nodes differ and for which something fits.
    for seed in UInt64(900)...940 {
      let problem = try RandomProblem(seed: seed, isMixed: true)
      let search = PlanSearch(model: problem.model, options: .init(resultCount: 3, margin: 0.01))
      guard problem.model.cluster.isMixed, search.plan(toolVersion: "0.0.0") != nil else { continue }
      return try expectNoMutationIsAccepted(search)
    }
    Issue.record("no problem has a plan")
  }

  private func expectNoMutationIsAccepted(_ search: PlanSearch) throws {
    let plan = try #require(search.plan(toolVersion: "0.0.0"))
    #expect(try PlanVerification(plan).disagreements == [])
    let json = plan.json
    var mutationCount = 0
    // Inputs may differ where they bear on nothing; who made the plan is one.
    for place in json.places where !["question", "job", "cluster", "tool_version"].contains(place.first) {
      for (mutated, words) in json.mutations(at: place[...]) {
        mutationCount += 1
        guard let read = try? Plan(Field(mutated, source: "plan")) else { continue }
        // A changed end of the search is a changed question.
        let differs =
          read.certificate.stoppedAfter == nil
          ? !PlanVerification.disagreements(of: read, with: plan).isEmpty
          : try !PlanVerification(read).disagreements.isEmpty
        #expect(differs, "/\(place.joined(separator: "/")): \(words)")
      }
    }
    #expect(mutationCount > 500)
  }

  @Test func aQuestionThatIsChangedHasAnotherAnswer() throws {
    let plan = try #require(try Self.questions[0].search().plan(toolVersion: "0.0.0"))
    for (pointer, value) in [
      ("/question/results", JSON.integer(2)), ("/question/framework", .string("any")),
      ("/question/completion_limit", .integer(2)), ("/question/margin", .number(0.4)),
      ("/cluster/levels/0/bytes_per_second", .number(1e10)), ("/job/global_batch", .integer(32)),
    ] {
      guard let read = try? Plan(Field(plan.json.replacing(pointer, with: value), source: "plan")) else { continue }
      #expect(try !PlanVerification(read).disagreements.isEmpty, "\(pointer)")
    }
    let source = try Plan(
      Field(plan.json.replacing("/cluster/source", with: .string("somebody else")), source: "plan"))
    #expect(try PlanVerification(source).disagreements == [])
  }

  @Test func aSearchThatWasStoppedIsRepeatedUpToWhereItWas() throws {
    for stop in [0, 1, 2, 4, 8] {
      let search = try Self.questions[0].search(repeatedStop: (stop, .timeLimit))
      let plan = try #require(search.plan(toolVersion: "0.0.0"))
      #expect(plan.certificate.stoppedAfter == stop && plan.certificate.ending == .timeLimit)
      #expect(try PlanVerification(plan).disagreements == [])
      // A bound that nobody proved is a lie, whoever stopped the search.
      let lie = plan.json.replacing("/certificate/lower_bound_seconds", with: .number(plan.certificate.scoreSeconds))
        .replacing("/certificate/gap", with: .number(0))
      guard plan.certificate.gap > 0 else { continue }
      #expect(try !PlanVerification(Plan(Field(lie, source: "plan"))).disagreements.isEmpty)
    }
  }

  @Test func aPlanOfTheFirstMajorIsReadAndHolds() throws {
    let plan = try Plan(contentsOf: "\(Shipped.root)/Tests/SearchTests/Inputs/plan-first-major.json")
    #expect(plan.question.framework == Plan.Question.anyFramework && plan.question.margin == 0)
    #expect(try PlanVerification(plan).disagreements == [])
  }
}

extension JSON {
  /// The places of all values but the whole, as keys and indices.
  fileprivate var places: [[String]] {
    switch self {
    case .object(let members):
      members.flatMap { member in [[member.key]] + member.value.places.map { [member.key] + $0 } }
    case .array(let values):
      values.enumerated().flatMap { index, value in [["\(index)"]] + value.places.map { ["\(index)"] + $0 } }
    default: []
    }
  }

  /// The document with one place changed, in every way that its kind allows.
  fileprivate func mutations(at place: ArraySlice<String>) -> [(JSON, String)] {
    func changed(_ words: String, _ change: (JSON) -> JSON?) -> (JSON, String)? {
      let result = changing(at: place, change)
      return result == self ? nil : (result, words)
    }
    return [
      changed("removed") { _ in nil },
      changed("more") { value in
        switch value {
        case .integer(let number): .integer(number + 1)
        case .number(let number): .number(number * 1.001 + 1e-9)
        case .boolean(let flag): .boolean(!flag)
        case .string(let text): .string(text + "s")
        case .array(let values): values.last.map { .array(values + [$0]) }
        default: value
        }
      },
      changed("less") { value in
        switch value {
        case .integer(let number): .integer(number / 2)
        case .number(let number): .number(number / 2)
        case .array(let values): .array(Array(values.dropLast()))
        default: value
        }
      },
    ].compactMap { $0 }
  }

  private func changing(at place: ArraySlice<String>, _ change: (JSON) -> JSON?) -> JSON {
    guard let key = place.first else { return self }
    func next(_ value: JSON) -> JSON? {
      place.count == 1 ? change(value) : value.changing(at: place.dropFirst(), change)
    }
    return switch self {
    case .object(let members):
      .object(members.compactMap { $0.key == key ? next($0.value).map { [key = $0.key] in JSONMember(key, $0) } : $0 })
    case .array(let values): .array(values.enumerated().compactMap { "\($0)" == key ? next($1) : $1 })
    default: self
    }
  }
}
