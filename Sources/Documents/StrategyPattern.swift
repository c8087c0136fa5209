package import JSONText

/// A strategy with some of its parts left open: what `--strategy`, `--fix` and a run record state.
///
/// Its parts are those of ``Strategy`` and ``Sharding`` for which there is a key: `pattern.recompute` is what is stated
/// of `Strategy.recompute`, and nil where nothing is.
@dynamicMemberLookup
package struct StrategyPattern: Sendable, Equatable {
  /// What is stated, by the key's place in ``Strategy/keys``.
  private var stated = [JSON?](repeating: nil, count: Strategy.keys.count)

  /// The open pattern, which every strategy matches.
  package init() {}

  /// What is stated of a part of a strategy.
  /// - Precondition: there is a key for the part.
  package subscript<Value: StrategyValue>(dynamicMember property: KeyPath<Strategy, Value>) -> Value? {
    get { stated[Self.place(of: property)].flatMap(Value.init(scalar:)) }
    set { stated[Self.place(of: property)] = newValue?.scalar }
  }

  /// What is stated of a part of a sharding.
  /// - Precondition: there is a key for the part.
  package subscript<Value: StrategyValue>(dynamicMember property: KeyPath<Sharding, Value>) -> Value? {
    get { stated[Self.place(of: property)].flatMap(Value.init(scalar:)) }
    set { stated[Self.place(of: property)] = newValue?.scalar }
  }

  /// `false` keeps optimizer states on the devices; stages are never made to offload.
  package var offloadsOptimizer: Bool? {
    get { stated[Self.place(of: "offload_optimizer")].flatMap(Bool.init(scalar:)) }
    set { stated[Self.place(of: "offload_optimizer")] = newValue?.scalar }
  }

  /// Whether anything is stated that a host has or does.
  package var usesHost: Bool {
    self[dynamicMember: \.hosting.updatePercent] ?? 0 > 0 || self[dynamicMember: \.hosting.holdsWeights] == true
      || self[dynamicMember: \.hosting.activations] ?? .onDevice != .onDevice
  }

  /// The word of the schedule that is stated.
  package var scheduleName: String? { stated[Self.place(of: "schedule")].flatMap(String.init(scalar:)) }

  /// The degree that is stated of an axis; nil where the search chooses.
  package func degree(of axis: Mesh.Axis) -> Int? { stated[Self.place(of: axis.name)].flatMap(Int.init(scalar:)) }

  private static func place(of property: AnyKeyPath) -> Int {
    guard let place = Strategy.keys.firstIndex(where: { ($0.property as AnyKeyPath?) == property }) else {
      preconditionFailure("no key states \(property)")
    }
    return place
  }

  private static func place(of key: String) -> Int {
    guard let place = Strategy.keys.firstIndex(where: { $0.name == key }) else {
      preconditionFailure("a strategy has no key \(key)")
    }
    return place
  }

  /// States the value of a key.
  /// - Precondition: patterns hold the key, and the value is one of its values.
  mutating func state(_ key: String, _ value: JSON) { stated[Self.place(of: key)] = value }

  /// The pattern with another value of a key.
  /// - Precondition: patterns hold the key, and the value is one of its values.
  package func stating(_ key: String, _ value: JSON) -> StrategyPattern {
    var other = self
    other.stated[Self.place(of: key)] = value
    return other
  }

  /// The keys of which something is stated, each with its value.
  private var statements: [(key: StrategyKey, value: JSON)] {
    zip(Strategy.keys, stated).compactMap { key, value in value.map { (key, $0) } }
  }

  /// The parts that are stated.
  package var json: JSON { .object(members) }

  /// The keys of ``json``, each with its value.
  package var members: [JSONMember] { statements.map { JSONMember($0.key.name, $0.value) } }

  /// The parts that are stated as one line, `tensor=8,pipeline=4,…`, which ``init(text:source:)`` reads.
  package var text: String { members.map { "\($0.key)=\($0.value.word)" }.joined(separator: ",") }
}

extension JSON {
  /// A stated value as `--fix` has it: `8`, `full`, `true`, `moe_act+layernorm`.
  package var word: String {
    switch self {
    case .string(let word): word
    case .array(let members): members.isEmpty ? "none" : members.map(\.word).joined(separator: "+")
    default: text(style: .compact)
    }
  }
}

extension StrategyPattern {
  /// The pattern that states every part of a strategy that its document does.
  package init(_ strategy: Strategy) {
    stated = Strategy.keys.map { $0.isHeld && $0.isStated(strategy) ? $0.writtenValue(of: strategy) : nil }
  }

  /// Reads `tensor=8,pipeline=4,recompute=full`.
  /// - Parameter source: what messages call it, such as `--fix`.
  package init(text: String, source: String) throws(DocumentError) {
    var members: [JSONMember] = []
    for part in text.split(separator: ",") {
      let halves = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard halves.count == 2, !halves[0].isEmpty, !halves[1].isEmpty else {
        throw DocumentError(
          source: source, location: "", expected: "expected KEY=VALUE,KEY=VALUE…",
          found: JSON.string(String(part)).briefDescription)
      }
      let key = String(halves[0])
      guard !members.contains(where: { $0.key == key }) else {
        throw DocumentError(
          source: source, location: "", expected: "the key \(JSON.string(key).briefDescription) is given twice",
          found: nil)
      }
      members.append(JSONMember(key, Self.value(String(halves[1]), of: key)))
    }
    try self.init(Field(.object(members), source: source))
  }

  /// The JSON value of a word of `--fix`.
  private static func value(_ word: String, of key: String) -> JSON {
    if case .sets? = Strategy.keys.first(where: { $0.name == key })?.values {
      if word == "none" { return .array([]) }
      return .array(word.split(separator: "+", omittingEmptySubsequences: false).map { .string(String($0)) })
    }
    let isBoolean = word == "true" || word == "false"
    return Int(word).map(JSON.integer) ?? (isBoolean ? .boolean(word == "true") : .string(word))
  }

  /// Reads the `strategy` object of a run record.
  package init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    for (place, key) in Strategy.keys.enumerated() {
      guard let field = fields.optional(key.name) else { continue }
      if let read = key.read {
        try read(field, &self)
      } else {
        stated[place] = try key.values.read(field)
      }
    }
    try fields.finish(hint: Strategy.hint(forKey:))
  }

  /// Whether a strategy agrees with every part that is stated.
  package func matches(_ strategy: Strategy) -> Bool {
    statements.allSatisfy { $0.key.value(of: strategy).map { [value = $0.value] in $0 == value } ?? true }
  }

  /// Whether shard degrees and what is quantised agree with every part that is stated.
  package func matches(_ sharding: Sharding) -> Bool {
    statements.allSatisfy { statement in
      if case .shard(let value, _) = statement.key.role { value(sharding) == statement.value } else { true }
    }
  }

  /// Whether anything is stated of shard degrees or quantisation.
  package var statesSharding: Bool { statements.contains { $0.key.isShard } }

  /// Shard degrees among a number of replicas: what is stated, what follows, the rest as the ZeRO stage says; nil when
  /// nothing is stated.
  private func sharding(replicaCount: Int) -> Sharding? {
    guard statesSharding else { return nil }
    let plain = Sharding(self.zeroStage ?? .none, replicaCount: replicaCount)
    let weights = self.weightDegree ?? plain.weightDegree
    let gradients = self.gradientDegree ?? max(plain.gradientDegree, weights)
    return Sharding(
      weightDegree: weights, gradientDegree: gradients,
      optimizerDegree: self.optimizerDegree
        ?? (self.update == .zerothOrder ? weights : gradients > 1 ? replicaCount : plain.optimizerDegree),
      secondaryDegree: self.secondaryDegreeOrOne.flatMap { $0 > 1 ? $0 : nil },
      quantisesWeights: self.quantisesWeights ?? false, quantisesGradients: self.quantisesGradients ?? false)
  }

  /// The product of the degrees that are stated of some axes; nil where it is too large to count.
  private func product(of axes: [Mesh.Axis]) -> Int? {
    axes.reduce(1) { product, axis in
      product.flatMap { product in
        let (next, overflows) = product.multipliedReportingOverflow(by: degree(of: axis) ?? 1)
        return overflows ? nil : next
      }
    }
  }

  /// The strategy with the open parts at their plainest: degree 1, nothing sharded or recomputed, and the data degree
  /// whatever remains of the devices.
  package func completed(deviceCount: Int, flashAttention: Bool, overlap: Bool) -> Strategy {
    let rest =
      product(of: Mesh.statedAxes.filter { $0 != .data }).map { Swift.max(1, deviceCount / $0) } ?? 1
    var strategy = Strategy(
      mesh: [.data: rest], usesFlashAttention: flashAttention, overlapsGradientReduce: overlap)
    for (key, value) in statements {
      if case .part(_, let set) = key.role { set(&strategy, value) }
    }
    return strategy.on(
      strategy.mesh, zeroStage: strategy.zeroStage, sharding: sharding(replicaCount: strategy.replicaCount))
  }

  /// The strategy of a document that states every part.
  fileprivate func whole(_ field: Field) throws(DocumentError) -> Strategy {
    guard case .object(let members) = field.value else { throw field.error(expected: "an object") }
    let keys = Set(members.filter { $0.value != .null }.map(\.key))
    guard Strategy.keys.allSatisfy({ !$0.isRequired || keys.contains($0.name) }) else {
      throw field.error(expected: "a strategy with every part stated")
    }
    guard product(of: Mesh.statedAxes) != nil else {
      throw field.error(expected: "degrees whose product can be counted")
    }
    guard !statesSharding || Strategy.keys.allSatisfy({ !$0.isRequiredShard || keys.contains($0.name) }) else {
      throw field.error(expected: "shard degrees with every part stated, or none of them")
    }
    if let sharding = sharding(replicaCount: (self.dataDegree ?? 1) * (self.contextDegree ?? 1)),
      let zeroStage = self.zeroStage,
      sharding.stage != zeroStage
    {
      throw field.conflict(
        """
        shard degrees \(sharding.weightDegree), \(sharding.gradientDegree), \(sharding.optimizerDegree) are not of ZeRO \
        stage \(zeroStage.rawValue)
        """)
    }
    return completed(deviceCount: 1, flashAttention: false, overlap: false)
  }
}

extension Strategy {
  /// A whole strategy, every part stated.
  package init(_ field: Field) throws(DocumentError) { self = try StrategyPattern(field).whole(field) }
}
