package import JSONText

/// A value that a key of a strategy takes, and the scalar by which documents write it.
package protocol StrategyValue: Sendable {
  init?(scalar: JSON)
  var scalar: JSON { get }
}

extension Int: StrategyValue {
  package init?(scalar: JSON) { if case .integer(let number) = scalar { self = number } else { return nil } }
  package var scalar: JSON { .integer(self) }
}

extension Bool: StrategyValue {
  package init?(scalar: JSON) { if case .boolean(let flag) = scalar { self = flag } else { return nil } }
  package var scalar: JSON { .boolean(self) }
}

extension String: StrategyValue {
  package init?(scalar: JSON) { if case .string(let word) = scalar { self = word } else { return nil } }
  package var scalar: JSON { .string(self) }
}

extension StrategyValue where Self: RawRepresentable, RawValue: StrategyValue {
  package init?(scalar: JSON) {
    guard let value = RawValue(scalar: scalar).flatMap(Self.init(rawValue:)) else { return nil }
    self = value
  }
  package var scalar: JSON { rawValue.scalar }
}

/// A part of a strategy that documents and `--fix` state by name: one row of ``Strategy/keys``.
package struct StrategyKey: Sendable {
  /// The values that a key takes.
  package enum Values: Sendable {
    case integers(ClosedRange<Int>)
    case booleans
    /// Yes, no, or how many.
    case flagOrCount(ClosedRange<Int>)
    /// One of a closed list.
    case choices([JSON])
    /// Any of a closed list of names, each once; in the order of the list, however they are stated.
    case sets([String])

    /// The value of a field, if it is one of these.
    func read(_ field: Field) throws(DocumentError) -> JSON {
      switch self {
      case .integers(let range): .integer(try field.integer(in: range))
      case .booleans: .boolean(try field.boolean())
      case .flagOrCount(let range): try field.flagOrCount(in: range)
      case .choices(let choices): choices[try field.place(among: choices)]
      case .sets(let names): .array(try field.members(among: names).map(JSON.string))
      }
    }
  }

  /// What a key is to a strategy.
  enum Role: Sendable {
    /// A part that every strategy has, and every whole strategy states.
    case part(value: @Sendable (Strategy) -> JSON, set: @Sendable (inout Strategy, JSON) -> Void)
    /// A part of a sharding: written where the sharding is not what the ZeRO stage says, and then with all the others;
    /// an optional one is written where it is not 1.
    case shard(value: @Sendable (Sharding) -> JSON, isOptional: Bool)
    /// What only stages have, so that a pattern holds it and a strategy does not.
    case ofStages
    /// Another word for other keys, which it is checked against and never held;
    /// `written` where strategies write it too.
    case alias(written: (@Sendable (Strategy) -> JSON)?)
  }

  package let name: String
  package let values: Values
  /// The part in a sentence, for schemas.
  package let summary: String
  let role: Role
  /// Whether a pattern that is made of a strategy states the part: not where other keys say it.
  var isStated: @Sendable (Strategy) -> Bool = { _ in true }
  /// A part's value that is not written, and stands where a document says nothing; nil for parts that are always stated.
  var plainest: JSON?
  /// The property of ``Strategy`` or ``Sharding`` that the key states.
  var property: (any AnyKeyPath & Sendable)?
  /// Takes a stated value into a pattern, where that is more than reading it.
  var read: (@Sendable (Field, inout StrategyPattern) throws(DocumentError) -> Void)?
  /// The part as a phrase of a report; nil where there is nothing to say.
  var phrase: @Sendable (Strategy) -> String? = { _ in nil }
  /// The part in a table cell; nil where there is nothing to say.
  var short: @Sendable (Strategy) -> String? = { _ in nil }

  /// Whether a pattern can hold it: with `--fix`, in a plan's `fixed`, in a run.
  package var isHeld: Bool { if case .alias = role { false } else { true } }
  /// Whether a whole strategy states it.
  package var isRequired: Bool {
    switch role {
    case .part: plainest == nil
    case .alias(let written): written != nil
    case .shard, .ofStages: false
    }
  }
  /// Whether it is a part of a sharding.
  package var isShard: Bool { if case .shard = role { true } else { false } }
  /// Whether a strategy that states any other part of its sharding states this one.
  package var isRequiredShard: Bool { if case .shard(_, false) = role { true } else { false } }

  /// What a strategy has; nil where strategies have no such part.
  func value(of strategy: Strategy) -> JSON? {
    switch role {
    case .part(let value, _): value(strategy)
    case .shard(let value, _): value(strategy.sharding)
    case .ofStages, .alias: nil
    }
  }

  /// What a strategy's document says; nil where it says nothing.
  func writtenValue(of strategy: Strategy) -> JSON? {
    switch role {
    case .part(let value, _): value(strategy) == plainest ? nil : value(strategy)
    case .shard(let value, let isOptional):
      strategy.shardLevels.map(value).flatMap { isOptional && $0 == .integer(1) ? nil : $0 }
    case .ofStages: nil
    case .alias(let written): written?(strategy)
    }
  }
}

extension StrategyKey {
  /// A part of ``Strategy``, by its property.
  ///
  /// - Parameter plainest: what stands where a strategy says nothing; nil where it has to say something.
  static func part<Value: StrategyValue>(
    _ name: String, _ property: any WritableKeyPath<Strategy, Value> & Sendable, _ values: Values,
    plainest: Value? = nil, _ summary: String,
    phrase: @escaping @Sendable (Strategy) -> String? = { _ in nil },
    short: @escaping @Sendable (Strategy) -> String? = { _ in nil }
  ) -> StrategyKey {
    StrategyKey(
      name: name, values: values, summary: summary,
      role: .part(
        value: { $0[keyPath: property].scalar },
        set: { strategy, scalar in Value(scalar: scalar).map { strategy[keyPath: property] = $0 } }),
      plainest: plainest?.scalar, property: property, phrase: phrase, short: short)
  }

  /// A part of ``Sharding``, by its property.
  static func shard<Value: StrategyValue>(
    _ name: String, _ property: any KeyPath<Sharding, Value> & Sendable, _ values: Values, isOptional: Bool = false,
    _ summary: String, phrase: @escaping @Sendable (Sharding) -> String? = { _ in nil },
    short: @escaping @Sendable (Sharding) -> String? = { _ in nil }
  ) -> StrategyKey {
    StrategyKey(
      name: name, values: values, summary: summary,
      role: .shard(value: { $0[keyPath: property].scalar }, isOptional: isOptional), property: property,
      phrase: { phrase($0.sharding) }, short: { short($0.sharding) })
  }
}
