"""A seeded world that speaks MQTT: one lot of bayberry from the slope to the shop, with its physics and its
truth.

It shares words with our decoders and no code: nothing here imports the other rooms, and nothing imports this.
"""
