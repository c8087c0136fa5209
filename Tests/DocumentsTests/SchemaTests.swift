import Documents
import JSONText
import TestSupport
import Testing

/// The JSON Schemas of `docs/schemas` and the readers say the same of every document.
///
/// Three answers of a reader are told apart, because a run record is read even where it cannot be priced. A document
/// that is refused must be refused by its schema as well, and a document that its schema refuses must not be read as if
/// it were sound. For all other kinds this makes the two agree exactly.
@Suite struct SchemaTests {
  let checker: SchemaChecker

  init() throws { checker = try SchemaChecker() }

  @Test(arguments: DocumentSchema.allCases)
  func everyKindHasASchemaThatNamesItsVersion(kind: DocumentSchema) {
    let schema = checker.schema(ofKind: kind.name)
    #expect(schema?.member("$schema")?.word == "https://json-schema.org/draft/2020-12/schema")
    #expect(schema?.member("properties")?.member("schema")?.member("const")?.word == kind.rawValue)
  }

  @Test(arguments: DocumentSchema.allCases)
  func everyPropertyIsDescribedWithItsUnit(kind: DocumentSchema) throws {
    for (key, property) in try #require(checker.schema(ofKind: kind.name)).describedProperties {
      if property.member("$ref") != nil { continue }
      let text = property.member("description")?.word ?? ""
      #expect(!text.isEmpty, "\(kind.name): \(key)")
      if key.hasSuffix("_bytes") { #expect(text.contains("bytes"), "\(kind.name): \(key)") }
      if key.hasSuffix("_seconds") { #expect(text.contains("seconds"), "\(kind.name): \(key)") }
      if key.contains("bytes_per_second") { #expect(text.contains("bytes per second"), "\(kind.name): \(key)") }
    }
  }

  @Test func everyExampleIsReadAndSatisfiesItsSchema() throws {
    for kind in DocumentSchema.allCases {
      for example in try exampleDocuments(of: kind) {
        #expect(checker.complaint(about: example.json, ofKind: kind.name) == nil, "\(example.name)")
        #expect(kind.reading(of: example.json) == .sound, "\(example.name)")
      }
    }
  }

  @Test func everyShippedInputSatisfiesItsSchema() throws {
    for (folder, kind) in [
      ("Clusters", "cluster"), ("Profiles", "device"), ("Profiles/models", "model"), ("Profiles/links", "links"),
    ] {
      for name in Checkout.names(in: folder) {
        let json = try Checkout.json("\(folder)/\(name).json")
        // The schema of models is of our own format, not of Hugging Face's.
        if kind == "model", json.member("schema") == nil { continue }
        #expect(checker.complaint(about: json, ofKind: kind) == nil, "\(folder)/\(name)")
      }
    }
  }

  @Test func whatIsWrittenSatisfiesItsSchema() throws {
    let catalog = Catalog(root: Checkout.root)
    for name in Checkout.names(in: "Clusters") {
      #expect(checker.complaint(about: try catalog.cluster(name).json, ofKind: "cluster") == nil, "\(name)")
    }
    for name in Checkout.names(in: "Profiles/models") {
      #expect(checker.complaint(about: try catalog.model(name).json, ofKind: "model") == nil, "\(name)")
    }
    for example in try exampleDocuments(of: .job) {
      let job = try TrainingJob(Field(example.json, source: example.name), catalog: catalog, folder: ".")
      #expect(checker.complaint(about: job.json, ofKind: "job") == nil, "\(example.name)")
    }
    #expect(checker.complaint(about: try examplePlan().json, ofKind: "plan") == nil)
  }

  /// Without this, a key that only the schema knows would go unnoticed.
  @Test(arguments: DocumentSchema.allCases)
  func everyPropertyOfASchemaOccursInAnExample(kind: DocumentSchema) throws {
    let described = Set(try #require(checker.schema(ofKind: kind.name)).describedProperties.map(\.key))
    // A run with one of these is read and not priced; another test has them.
    let unpriced: Set = kind == .run ? ["moe", "attention"] : []
    let shown = Set(try exampleDocuments(of: kind).flatMap(\.json.keys))
    #expect(described.subtracting(shown).subtracting(unpriced).sorted() == [])
  }

  @Test(arguments: DocumentSchema.allCases)
  func aMissingKeyIsRefusedByBothOrByNeither(kind: DocumentSchema) throws {
    try expectAgreement(kind) { example in
      example.places.filter { $0.isMember && !kind.isReferredTo($0) }.map { place in
        Change(place, "removed", example.changed(at: place[...]) { _ in nil })
      }
    }
  }

  @Test(arguments: DocumentSchema.allCases)
  func anUnknownKeyIsRefusedByBothOrByNeither(kind: DocumentSchema) throws {
    try expectAgreement(kind, refusedByBoth: kind != .run) { example in
      example.places.compactMap { place in
        guard case .object(let members)? = example.part(at: place) else { return nil }
        return Change(
          place, "with an unknown key",
          example.changed(at: place[...]) { _ in .object(members + [JSONMember("unheard_of", .integer(1))]) })
      }
    }
  }

  @Test(arguments: DocumentSchema.allCases)
  func aValueOfAWrongTypeIsRefusedByBoth(kind: DocumentSchema) throws {
    let others: [JSON] = [.boolean(true), .string("words"), .integer(7), .array([]), .object([])]
    try expectAgreement(kind, refusedByBoth: true) { example in
      example.places.flatMap { place -> [Change] in
        guard let part = example.part(at: place), part != .null, !kind.isUnread(place) else { return [] }
        var replacements = others.filter { $0.typeName != part.typeName }
        if case .integer(let count) = part { replacements.append(.number(Double(count) + 0.5)) }
        return replacements.filter { !kind.mayAlsoBe($0, at: place) }.map { other in
          Change(place, "\(other.briefDescription)", example.changed(at: place[...]) { _ in other })
        }
      }
    }
  }

  /// Null counts as absent, so it is refused where the key is required.
  @Test(arguments: DocumentSchema.allCases)
  func nullIsRefusedByBothOrByNeither(kind: DocumentSchema) throws {
    try expectAgreement(kind) { example in
      example.places.filter { !kind.isReferredTo($0) }.map { place in
        Change(place, "null", example.changed(at: place[...]) { _ in .null })
      }
    }
  }

  @Test(arguments: DocumentSchema.allCases)
  func aNumberOutOfRangeIsRefusedByBothOrByNeither(kind: DocumentSchema) throws {
    // Numbers in a plan contradict sums, gaps and what the strategy says, which a schema cannot know.
    let extremes: [JSON] = [.integer(-1), .number(1e30)] + (kind == .plan ? [] : [.integer(0)])
    // Degrees, layers and shards of a configuration contradict each other where one of them is 0.
    try expectAgreement(kind, contradictionsAside: kind == .plan || kind == .configuration) { example in
      example.places.flatMap { place -> [Change] in
        guard example.part(at: place)?.typeName == "number", !kind.isUnread(place) else { return [] }
        return extremes.map { number in
          Change(place, "\(number.briefDescription)", example.changed(at: place[...]) { _ in number })
        }
      }
    }
  }

  /// Every bound of any schema, and the numbers next to it, at every number: the two have the same bounds.
  ///
  /// A plan's own numbers must add up, so bounds are not reached there; its inputs are examples of their own.
  @Test(arguments: DocumentSchema.allCases.filter { $0 != .plan })
  func theBoundsOfNumbersAreTheSameInBoth(kind: DocumentSchema) throws {
    let bounds = Set(try DocumentSchema.allCases.flatMap { try #require(checker.schema(ofKind: $0.name)).bounds })
    let numbers = bounds.sorted().flatMap { bound -> [JSON] in
      guard bound < 1e18 else { return [.number(bound), .number(bound * 1.5)] }
      return [-1, 0, 1].map { .integer(Int(bound) + $0) }
    }
    try expectAgreement(kind, contradictionsAside: true) { example in
      example.places.flatMap { place -> [Change] in
        guard example.part(at: place)?.typeName == "number", !kind.isUnread(place) else { return [] }
        // How many devices a run may have used depends on the nodes that it states.
        if kind == .run, place.pointer.hasPrefix("/cluster/") { return [] }
        return numbers.map { number in
          Change(place, number.briefDescription, example.changed(at: place[...]) { _ in number })
        }
      }
    }
  }

  @Test(arguments: DocumentSchema.allCases.filter { $0 != .plan })
  func anEmptyOrUnprintableNameIsRefusedByBothOrByNeither(kind: DocumentSchema) throws {
    try expectAgreement(kind) { example in
      example.places.flatMap { place -> [Change] in
        guard case .string? = example.part(at: place) else { return [] }
        if kind.isUnread(place) || kind.namesAnInput(place) { return [] }
        return [JSON.string(""), .string("a\u{1}")].map { text in
          Change(place, text.briefDescription, example.changed(at: place[...]) { _ in text })
        }
      }
    }
  }

  /// The rest of such a record is good for something, so that it is listed with the reason.
  @Test func aRunOfAMixtureThatIsNotDescribedIsReadAndNotPriced() throws {
    let run = try #require(try exampleDocuments(of: .run).first).json
    for fact in [JSONMember("moe", .object([])), JSONMember("attention", .string("latent"))] {
      let other = try #require(
        run.changed(at: [.key("model")]) { model in
          guard case .object(let members) = model else { return nil }
          return .object(members + [fact])
        })
      #expect(DocumentSchema.run.reading(of: other) == .unpriced)
      #expect(checker.complaint(about: other, ofKind: "run") != nil)
    }
  }

  // MARK: - Agreement

  /// An example with one thing changed.
  private struct Change {
    let place: Path
    let what: String
    let document: JSON?

    init(_ place: Path, _ what: String, _ document: JSON?) {
      self.place = place
      self.what = what
      self.document = document
    }
  }

  private func expectAgreement(
    _ kind: DocumentSchema, refusedByBoth: Bool = false, contradictionsAside: Bool = false,
    changes: (JSON) -> [Change]
  ) throws {
    // What a Hugging Face configuration contains is not the schema's business.
    for example in try exampleDocuments(of: kind) where !example.name.contains("huggingface") {
      let changes = changes(example.json)
      #expect(!changes.isEmpty)
      var disagreements: [String] = []
      for change in changes {
        guard let document = change.document else { continue }
        let complaint = checker.complaint(about: document, ofKind: kind.name)
        let reading = kind.reading(of: document)
        let agrees =
          switch reading {
          case .sound: complaint == nil && !refusedByBoth
          case .unpriced: complaint != nil || !refusedByBoth
          // What documents may leave out, plans of these methods may not, as their sections follow from it.
          case .contradicted:
            complaint != nil || contradictionsAside
              || [
                "the plan of zeroth order", "the plan of workers", "the plan of divided sequences",
                "the plan of divided experts", "the plan of narrower products",
              ].contains(example.name)
          case .refused: complaint != nil
          }
        if !agrees {
          let answer = complaint ?? "no complaint"
          disagreements.append("\(change.place.pointer) \(change.what): \(reading); schema: \(answer)")
        }
      }
      #expect(disagreements == [], "\(example.name)")
    }
  }
}

// MARK: - Readers

/// What a reader makes of a document.
private enum Reading {
  /// Read, and everything in it understood.
  case sound
  /// A run record that is read although its job, its strategy or what was measured is not understood.
  case unpriced
  /// Refused because one part contradicts another.
  case contradicted
  case refused
}

extension DocumentSchema {
  /// `cluster` of `sextant.cluster/1`.
  var name: String { String(rawValue.dropFirst("sextant.".count).prefix { $0 != "/" }) }

  fileprivate func reading(of json: JSON) -> Reading {
    let field = Field(json, source: "example")
    let catalog = Catalog(root: Checkout.root)
    do {
      switch self {
      case .cluster: _ = try ClusterDescription(field, catalog: catalog, folder: ".")
      case .links: _ = try MeasuredLinks(field)
      case .device: _ = try DeviceProfile(field)
      case .model: _ = try ModelDescription(field)
      case .job: _ = try TrainingJob(field, catalog: catalog, folder: ".")
      case .plan: _ = try Plan(field)
      case .collective: _ = try MeasuredCollective(field)
      case .configuration: _ = try RunConfiguration(field)
      case .run:
        let run = try MeasuredRun(field)
        if case .failure = run.job { return .unpriced }
        if case .failure = run.strategy { return .unpriced }
        if !run.unusedParts.isEmpty || run.reasonNotComparable != nil { return .unpriced }
      }
      return .sound
    } catch {
      // A complaint about one value quotes it; a contradiction has nothing to quote.
      return error.found == nil && !error.expected.hasPrefix("unknown key") ? .contradicted : .refused
    }
  }

  /// Whether the text at a place names another document, which only a catalogue can know.
  fileprivate func namesAnInput(_ place: Path) -> Bool {
    guard self != .run, case .key(let key)? = place.last else { return false }
    return ["device", "measured", "model"].contains(key)
  }

  /// Whether another type is allowed at a place than the example has there.
  fileprivate func mayAlsoBe(_ value: JSON, at place: Path) -> Bool {
    switch value {
    case .string: namesAnInput(place)
    case .integer, .number:
      place.pointer.hasSuffix("/nodes") && self != .run || place.pointer.hasSuffix("/host_activations")
    default: false
    }
  }

  /// What other parts refer to or follow from although it may be absent, which a schema cannot know.
  fileprivate func isReferredTo(_ place: Path) -> Bool {
    self == .links && place.pointer == "/origins"
      || self == .plan
        && ([
          "/stage_choices", "/cluster/host", "/question/allowed", "/strategy/secondary_shards",
          "/sharding_options/0/secondary_shards", "/certificate/fastest_score_seconds",
        ].contains(place.pointer)
          || place.pointer.hasSuffix("/relative_error"))
  }

  /// Keys of a run record that its schema describes for those who write one, and that are not read.
  fileprivate func isUnread(_ place: Path) -> Bool {
    self == .run
      && [
        "/source", "/complete", "/notes", "/cluster/name", "/cluster/intra", "/cluster/inter",
        "/measured/tokens_per_second_per_device", "/measured/flop_per_second_per_device",
      ].contains(place.pointer)
  }

}

// MARK: - Parts of documents

/// A way from a document to a part of it.
private typealias Path = [Step]

private enum Step {
  case key(String)
  case index(Int)
}

extension [Step] {
  fileprivate var pointer: String {
    map { step in
      switch step {
      case .key(let key): "/\(key)"
      case .index(let index): "/\(index)"
      }
    }.joined()
  }

  /// Whether the part is a member of an object.
  fileprivate var isMember: Bool { if case .key? = last { true } else { false } }
}

extension JSON {
  /// The value's parts, itself first.
  fileprivate var places: [Path] {
    switch self {
    case .object(let members): [[]] + members.flatMap { member in member.value.places.map { [.key(member.key)] + $0 } }
    case .array(let elements):
      [[]] + elements.enumerated().flatMap { index, element in element.places.map { [.index(index)] + $0 } }
    default: [[]]
    }
  }

  fileprivate func part(at path: Path) -> JSON? {
    path.reduce(Optional(self)) { part, step in
      switch (part, step) {
      case (.array(let elements), .index(let index)): elements[index]
      case (let part, .key(let key)): part?.member(key)
      default: nil
      }
    }
  }

  /// The value with one part changed; a part changed into nil is taken out.
  fileprivate func changed(at path: ArraySlice<Step>, _ change: (JSON) -> JSON?) -> JSON? {
    guard let step = path.first else { return change(self) }
    let rest = path.dropFirst()
    switch (self, step) {
    case (.object(let members), .key(let key)):
      return .object(
        members.compactMap { member in
          guard member.key == key else { return member }
          return member.value.changed(at: rest, change).map { JSONMember(key, $0) }
        })
    case (.array(let elements), .index(let index)):
      return .array(
        elements.enumerated().compactMap { $0.offset == index ? $0.element.changed(at: rest, change) : $0.element })
    default: return nil
    }
  }

  /// The type as JSON knows it: integers are numbers.
  fileprivate var typeName: String {
    switch self {
    case .null: "null"
    case .boolean: "boolean"
    case .integer, .number: "number"
    case .string: "string"
    case .array: "array"
    case .object: "object"
    }
  }

  /// The keys of all objects in the value.
  var keys: [String] {
    switch self {
    case .object(let members): members.flatMap { [$0.key] + $0.value.keys }
    case .array(let elements): elements.flatMap(\.keys)
    default: []
    }
  }
}
