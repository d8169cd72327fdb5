#include "core/session/answers.h"

#include <utility>

namespace holdfast::session {
namespace {

thread_local AnswerScope* scope_of_thread = nullptr;

}  // namespace

AnswerScope::AnswerScope() : outer_(std::exchange(scope_of_thread, this)) {}

AnswerScope::~AnswerScope() {
  scope_of_thread = outer_;
  for (auto& action : actions_) action();
}

bool AnswerScope::Open() { return scope_of_thread != nullptr; }

void AnswerScope::PutOff(std::function<void()> action) {
  scope_of_thread->actions_.push_back(std::move(action));
}

}  // namespace holdfast::session
