package import JSONText

/// The same question of several numbers of nodes, batches or clusters: for each a plan, or why there is none.
///
/// It is written for people and programs that choose among the rows, `sextant.sweep/1`, and nothing reads it back:
/// every row follows from its plan.
package struct Sweep: Sendable, Equatable {
  /// The kind and major version of the document.
  package static let schema = "sextant.sweep/1"

  /// What one planner was asked and answered.
  package struct Row: Sendable, Equatable {
    package let clusterName: String
    package let modelName: String
    /// Nodes that are used, and their devices.
    package let nodeCount: Int
    package let deviceCount: Int
    package let globalBatch: Int
    package let sequenceLength: Int
    /// What is to run the plan; `any` for the whole lattice.
    package let framework: String
    package let answer: Answer

    package init(
      clusterName: String, modelName: String, nodeCount: Int, deviceCount: Int, globalBatch: Int, sequenceLength: Int,
      framework: String, answer: Answer
    ) {
      self.clusterName = clusterName
      self.modelName = modelName
      self.nodeCount = nodeCount
      self.deviceCount = deviceCount
      self.globalBatch = globalBatch
      self.sequenceLength = sequenceLength
      self.framework = framework
      self.answer = answer
    }

    /// The row's plan, if there is one.
    package var plan: Plan? {
      guard case .plan(let plan) = answer else { return nil }
      return plan
    }

    /// Tokens of one iteration.
    package var tokensPerIteration: Double { Double(globalBatch) * Double(sequenceLength) }

    /// Throughput of all devices together; nil without a plan.
    package var tokensPerSecond: Double? { plan.map { tokensPerIteration / $0.prediction.iterationSeconds } }

    /// Throughput of one device; nil without a plan.
    package var tokensPerSecondPerDevice: Double? { tokensPerSecond.map { $0 / Double(deviceCount) } }

    /// What an iteration costs, in the price's currency; nil without a plan.
    package func costPerIteration(pricePerDeviceHour: Double) -> Double? {
      plan.map { pricePerDeviceHour * Double(deviceCount) * $0.prediction.iterationSeconds / 3600 }
    }

    /// What a number of tokens costs, in the price's currency; nil without a plan.
    package func cost(ofTokens tokenCount: Double, pricePerDeviceHour: Double) -> Double? {
      costPerIteration(pricePerDeviceHour: pricePerDeviceHour).map { $0 / tokensPerIteration * tokenCount }
    }

    /// Seconds of training on a number of tokens; nil without a plan.
    package func seconds(ofTokens tokenCount: Double) -> Double? { tokensPerSecond.map { tokenCount / $0 } }
  }

  /// A plan, or in a few words why there is none.
  package enum Answer: Sendable, Equatable {
    case plan(Plan)
    case none(String)
  }

  package let toolVersion: String
  /// The rows that are done, in the order in which they were asked.
  package let rows: [Row]
  /// How many rows were asked for: more than there are where the work was stopped.
  package let askedCount: Int
  /// In any currency; nil where nobody stated it.
  package let pricePerDeviceHour: Double?
  /// Tokens of the whole training; nil where nobody stated them.
  package let tokenCount: Double?

  package init(
    toolVersion: String, rows: [Row], askedCount: Int, pricePerDeviceHour: Double? = nil, tokenCount: Double? = nil
  ) {
    self.toolVersion = toolVersion
    self.rows = rows
    self.askedCount = askedCount
    self.pricePerDeviceHour = pricePerDeviceHour
    self.tokenCount = tokenCount
  }

  /// The row with the highest throughput of all devices together, the first of equals; nil where no row has a plan.
  package var fastestIndex: Int? { best { $0.tokensPerSecond } }

  /// The row with the highest throughput of one device, the first of equals; nil where no row has a plan.
  ///
  /// It is the cheapest whatever a device costs: a token's price is the device's over this.
  package var cheapestIndex: Int? { best { $0.tokensPerSecondPerDevice } }

  private func best(by measure: (Row) -> Double?) -> Int? {
    var best: (index: Int, value: Double)?
    for (index, row) in rows.enumerated() {
      if let value = measure(row), value > best?.value ?? 0 { best = (index, value) }
    }
    return best?.index
  }
}

extension Sweep {
  /// The document of this table.
  package var json: JSON {
    object(
      ("schema", .string(Self.schema)), ("tool_version", .string(toolVersion)), ("asked", .integer(askedCount)),
      ("price_per_device_hour", pricePerDeviceHour.map(JSON.number)), ("tokens", tokenCount.map(JSON.number)),
      ("rows", .array(rows.map(json(of:)))), ("fastest", fastestIndex.map(JSON.integer)),
      ("cheapest", cheapestIndex.map(JSON.integer)))
  }

  private func json(of row: Row) -> JSON {
    var members: [(String, JSON?)] = [
      ("cluster", .string(row.clusterName)), ("model", .string(row.modelName)), ("nodes", .integer(row.nodeCount)),
      ("devices", .integer(row.deviceCount)), ("global_batch", .integer(row.globalBatch)),
      ("sequence_length", .integer(row.sequenceLength)), ("framework", .string(row.framework)),
    ]
    switch row.answer {
    case .none(let reason): members.append(("no_plan", .string(reason)))
    case .plan(let plan):
      members += [
        ("precision", plan.chosenPrecision.map { .string($0.rawValue) }), ("strategy", plan.strategy.json),
        ("iteration_seconds", .number(plan.prediction.iterationSeconds)),
        ("tokens_per_second", row.tokensPerSecond.map(JSON.number)),
        ("tokens_per_second_per_device", row.tokensPerSecondPerDevice.map(JSON.number)),
        ("peak_bytes", .integer(plan.prediction.peakBytes)),
        ("verdict", .string(plan.prediction.verdict.rawValue)), ("gap", .number(plan.certificate.gap)),
        ("ending", .string(plan.certificate.ending.rawValue)),
      ]
      if let price = pricePerDeviceHour {
        members += [
          ("cost_per_iteration", row.costPerIteration(pricePerDeviceHour: price).map(JSON.number)),
          ("cost_per_billion_tokens", row.cost(ofTokens: 1e9, pricePerDeviceHour: price).map(JSON.number)),
        ]
      }
      if let tokenCount {
        members.append(("training_seconds", row.seconds(ofTokens: tokenCount).map(JSON.number)))
        if let price = pricePerDeviceHour {
          members.append(("training_cost", row.cost(ofTokens: tokenCount, pricePerDeviceHour: price).map(JSON.number)))
        }
      }
    }
    return .object(members.compactMap { key, value in value.map { JSONMember(key, $0) } })
  }
}
